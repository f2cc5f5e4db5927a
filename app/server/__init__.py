"""What gunicorn.conf.py uses: the worker class, the hooks, the limits of the machine.

gunicorn imports them in the process that forks the workers. They must not import TensorFlow or
OpenVINO: after a fork, children would wait for locks that nobody releases.
"""
