"""A gateway for text messages, for tests: answers as Twilio's interface for messages does. Prints its port, then every
message as a line of JSON. Ends with its standard input.

sms_gateway.py CERTIFICATE KEY [ANSWER…]: an answer "STATUS CODE" is given to one request instead of taking the message. It
takes nobody but "AC1" with the secret "secret".
"""

import base64
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PATH = "/2010-04-01/Accounts/AC1/Messages.json"
SIGNED_IN = "Basic " + base64.b64encode(b"AC1:secret").decode()


class Gateway(BaseHTTPRequestHandler):
    answers = []

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        to = form.get("To", ["nobody"])[0]
        if self.path != PATH:
            return self.answer(404, 20404, to)
        if self.headers["Authorization"] != SIGNED_IN:
            return self.answer(401, 20003, to)
        if self.answers:
            status, code = self.answers.pop(0).split()
            return self.answer(int(status), int(code), to)
        print(json.dumps({name: values[0] for name, values in form.items()}), flush=True)
        self.reply(201, {"sid": "SM1", "status": "queued"})

    def answer(self, status, code, to):
        self.reply(status, {"status": status, "code": code, "message": f"Not to {to}."})

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        if status in (302, 307):
            self.send_header("Location", PATH)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


certificate, key, *Gateway.answers = sys.argv[1:]
server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
