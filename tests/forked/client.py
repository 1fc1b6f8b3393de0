"""client.py SOCKET PYTHON -m MODULE ARGUMENTS…: let the server behind the socket run the module, and end as it did.

PYTHON is the file that stands in for the interpreter.
"""

import marshal
import os
import socket
import sys

address, *command = sys.argv[1:]
job = command, os.getcwd(), dict(os.environ)  # noqa: PTH109 (pathlib takes longer to import than all else here)
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(address)
    socket.send_fds(server, [marshal.dumps(job)], [0, 1, 2])
    answer = server.recv(16)
if not answer:
    sys.exit("the server of tests/forked ended before the job did")
status = int(answer)
if status < 0:  # what killed the fork kills its stand-in, too
    os.kill(os.getpid(), -status)
os._exit(status)
