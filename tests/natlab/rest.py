"""One request to a node's local API: METHOD PATH [JSON], run where the node runs.

Reads the address and the token from the run folder in RUN. Prints {"status": …, "body": …}.
"""

import json
import os
import sys
import urllib.error
import urllib.request


def read(name):
    with open(os.path.join(os.environ["RUN"], name), encoding="ascii") as file:
        return file.read().strip()


method, path, *body = sys.argv[1:]
request = urllib.request.Request(
    read("api-address") + "/api/v1" + path,
    data=body[0].encode() if body else None,
    method=method,
    headers={"Authorization": "Bearer " + read("api-token")},
)
if body:
    request.add_header("Content-Type", "application/json")
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        status, text = answer.status, answer.read()
except urllib.error.HTTPError as error:
    status, text = error.code, error.read()
print(json.dumps({"status": status, "body": json.loads(text) if text else None}))
