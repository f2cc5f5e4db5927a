"""What gunicorn needs of us (gunicorn.conf.py names it).

gunicorn imports this in the process that forks the workers, so nothing here may import what must
not be loaded before a fork: TensorFlow and OpenVINO hand their children locks that nobody will
release.
"""
