"""A mail server for tests. Prints its port, then every letter as a line of JSON. Ends with its standard input.

mail_server.py tls|starttls CERTIFICATE KEY [ANSWER…]: each answer, if not empty, is given to one recipient instead
of taking the letter. It takes nobody who has not signed in as "kith" with the password "secret", encrypted.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, answers):
        self.answers = answers

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if self.answers and (answer := self.answers.pop(0)):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, _session, envelope):
        letter = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode(),
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
        }
        print(json.dumps(letter), flush=True)
        return "250 OK"


def signed_in(_server, _session, _envelope, _mechanism, data):
    # Not handled: the server itself answers who is refused.
    return AuthResult(success=(data.login, data.password) == (b"kith", b"secret"), handled=False)


async def main(encryption, certificate, key, *answers):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = Handler(list(answers))
    first = encryption == "tls"

    def session():
        starttls = {} if first else {"tls_context": context, "require_starttls": True}
        return SMTP(
            handler, authenticator=signed_in, auth_required=True, auth_require_tls=not first, **starttls
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if first else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
