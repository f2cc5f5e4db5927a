"""The core that serving and training share: decode, the model file, the engine, the verdict."""
