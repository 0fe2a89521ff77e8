"""One case of the NAT laboratory, on the network that topology.sh has built."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RELAY = "203.0.113.10"
PORT = 4701
# A QUIC connection to a relay that died unheard ends after 30 s; TCP learns it at once.
DEADLINE = 90.0
# A hole is punched within seconds of the first connection, or not at all.
PUNCHING = 20.0


class Lab:
    """The namespaces, and what runs in them."""

    def __init__(self, name, folder):
        self.name, self.folder, self.running = name, folder, []

    def command(self, place, *words):
        return ["ip", "netns", "exec", f"{self.name}-{place}", *words]

    def start(self, place, *words, env=None):
        with open(os.path.join(self.folder, f"{place}.log"), "ab") as log:
            process = subprocess.Popen(
                self.command(place, *words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(env or {})},
            )
        self.running.append(process)
        return process

    def output(self, place, *words, env=None):
        ended = subprocess.run(
            self.command(place, *words),
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **(env or {})},
        )
        if ended.returncode:
            raise Failed(f"{words[-1]} in {place}: {ended.stderr.strip()[-300:]}")
        return ended.stdout.strip()

    def stop(self, process, how=signal.SIGKILL):
        process.send_signal(how)
        process.wait(30)
        self.running.remove(process)

    def stop_all(self):
        for process in list(self.running):
            self.stop(process)


class Failed(Exception):
    """A check that does not hold."""


class Relay:
    def __init__(self, lab):
        self.lab = lab
        self.start()

    def start(self):
        self.process = self.lab.start(
            "relay",
            os.environ["KITH_RELAY_BIN"],
            "run",
            "--development=true",
            "--data-dir", os.path.join(self.lab.folder, "relay"),
            "--listen", f"/ip4/{RELAY}/tcp/{PORT},/ip4/{RELAY}/udp/{PORT}/quic-v1",
        )
        self.addresses = [self.process.stdout.readline().strip() for _ in range(2)]
        if not all(self.addresses):
            raise Failed("the relay did not start")

    def address(self, transport):
        return next(a for a in self.addresses if ("quic" in a) == (transport == "quic"))

    def kill(self):
        self.lab.stop(self.process)


class Person:
    def __init__(self, lab, name, relay):
        self.lab, self.name, self.relay = lab, name, relay
        self.folder = os.path.join(lab.folder, name)
        self.start()

    def start(self):
        self.process = self.lab.start(
            self.name,
            os.environ["KITH_BIN"],
            "up",
            "--data-dir", self.folder,
            "--port", "0",
            "--relay", self.relay,
            "--no-lan",
            "--no-open",
            env={"KITH_LOG": os.environ.get("KITH_LOG", "info")},
        )
        for line in self.process.stdout:
            if "Ctrl-C" in line:
                return
        raise Failed(f"{self.name}'s node did not start")

    def kill(self):
        self.lab.stop(self.process)

    def api(self, method, path, body=None):
        words = [sys.executable, os.path.join(HERE, "rest.py"), method, path]
        words += [json.dumps(body)] if body is not None else []
        run = {"RUN": os.path.join(self.folder, "run")}
        answer = json.loads(self.lab.output(self.name, *words, env=run))
        if answer["status"] >= 400:
            raise Failed(f"{self.name}: {method} {path}: {answer['body']}")
        return answer["body"]

    def register(self):
        who = {"identifier": f"{self.name}@example.org"}
        challenge = self.api("POST", "/registration/challenges", who)
        code = {"code": challenge["development_code"]}
        self.api("POST", f"/registration/challenges/{challenge['id']}/verify", code)
        self.api("PATCH", "/me", {"name": self.name.capitalize()})

    def reserved(self):
        relays = self.api("GET", "/status")["network"]["relays"]
        return any(relay["reservation"] == "active" for relay in relays)

    def chat(self):
        chats = self.api("GET", "/chats")["items"]
        return chats[0]["id"] if chats else None

    def path(self):
        return self.api("GET", "/contacts")["items"][0]["reach"]["path"]

    def say(self, text):
        return self.api("POST", f"/chats/{self.chat()}/messages", {"text": text})["id"]

    def delivery(self, message):
        return self.api("GET", f"/messages/{message}")["delivery"]

    def texts(self):
        items = self.api("GET", f"/chats/{self.chat()}/messages?limit=200")["items"]
        return [item["text"] for item in items]


def until(what, seconds=DEADLINE):
    """Waits for something to become true, and returns it."""
    ends = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > ends:
            return None
        time.sleep(0.1)


def arrives(author, reader, text):
    """Sends, waits until it is delivered, and says on which path and how fast."""
    began = time.monotonic()
    message = author.say(text)
    return arrived(author, reader, message, text, began)


def arrived(author, reader, message, text, began):
    def delivered():
        delivery = author.delivery(message)
        return delivery if delivery["state"] == "delivered" else None

    delivery = until(delivered)
    if not delivery:
        raise Failed(f"still {author.delivery(message)} after {DEADLINE:.0f} s")
    count = reader.texts().count(text)
    if count != 1:
        raise Failed(f"delivered, and there {count} times")
    steps = [step for step in delivery["steps"] if step["state"] == "delivered"]
    return f"{steps[0]['path']}, {time.monotonic() - began:.1f} s"


class Case:
    """Runs checks, one line each."""

    def __init__(self, args):
        self.args = args
        self.label = f"{args.ada}×{args.ben} {args.transport}"
        self.lab = Lab(args.lab, args.folder)

    def check(self, claim, test):
        try:
            found, held = test(), True
        # A check that cannot be carried out does not hold: nothing may end a case unnoticed.
        except Exception as failure:
            found, held = str(failure) or repr(failure), False
        line = f"{'ok' if held else 'FAILED'}  {self.label}: {claim}{f' ({found})' if found else ''}"
        print(line, flush=True)
        with open(self.args.results, "a", encoding="utf-8") as results:
            results.write(line + "\n")
        if not held:
            # What follows builds on it.
            raise SystemExit(1)

    def nats(self):
        server = self.lab.start("relay", sys.executable, os.path.join(HERE, "probe.py"), "serve")
        server.stdout.readline()
        for name, kind in (("ada", self.args.ada), ("ben", self.args.ben)):
            mappings = int(
                self.lab.output(name, sys.executable, os.path.join(HERE, "probe.py"), "map")
            )
            if (mappings == 1) != (kind == "cone"):
                raise Failed(f"{name}'s NAT shows {mappings} mappings to 3 endpoints")
        self.lab.stop(server)

    def start(self):
        self.relay = Relay(self.lab)
        address = self.relay.address(self.args.transport)
        self.ada = Person(self.lab, "ada", address)
        self.ben = Person(self.lab, "ben", address)

    def meet(self):
        invite = self.ada.api("POST", "/invites", {"kind": "in_person"})
        self.ben.api("POST", "/invites/redeem", {"text": invite["text"]})

        def held():
            requests = self.ada.api("GET", "/requests?direction=incoming")["items"]
            return next((r["id"] for r in requests if r["state"] == "held"), None)

        request = until(held)
        if not request:
            raise Failed(f"Ben's request is {self.ben.api('GET', '/requests')['items']}")
        self.ada.api("POST", f"/requests/{request}/accept")
        if not until(self.ben.chat):
            raise Failed("Ben was not told that Ada accepted")

    def settled_path(self):
        punchable = (self.args.ada, self.args.ben) == ("cone", "cone")
        path = until(lambda: self.ben.path() == "hole_punched", PUNCHING) and "hole_punched"
        path = path or self.ben.path()
        if punchable and path != "hole_punched":
            raise Failed(f"two cones can be punched, and the path is {path}")
        if (self.args.ada, self.args.ben) == ("symmetric", "symmetric") and path != "relayed":
            raise Failed(f"the only way is the relay, and the path is {path}")
        return path

    def message_during_the_outage(self):
        self.relay.kill()
        began = time.monotonic()
        message = self.ben.say("while the relay is down")
        self.relay.start()
        return arrived(self.ben, self.ada, message, "while the relay is down", began)

    def after_both_lost_each_other(self):
        self.ada.kill()
        self.ada.start()
        return arrives(self.ben, self.ada, "after Ada's node was killed too")

    def registered(self):
        for person in (self.ada, self.ben):
            person.register()
        for person in (self.ada, self.ben):
            if not until(person.reserved):
                raise Failed(f"{person.name}: {person.api('GET', '/status')['network']}")

    def run(self):
        self.check("the NATs are what they are called", self.nats)
        self.check("a relay and two nodes start", self.start)
        self.check("both register and get a reservation", self.registered)
        self.check("Ben scans Ada's code, Ada accepts", self.meet)
        self.check(
            "Ben's first message to Ada arrives, once",
            lambda: arrives(self.ben, self.ada, "the first message"),
        )
        self.check("they settle on the best path there is", self.settled_path)
        self.check(
            "Ada's answer arrives, once", lambda: arrives(self.ada, self.ben, "the answer")
        )
        self.check(
            "a message sent while the relay is killed arrives, once", self.message_during_the_outage
        )
        self.check(
            "a message after the relay's restart arrives, once",
            lambda: arrives(self.ben, self.ada, "after the restart"),
        )
        self.check(
            "with every connection lost, the restarted relay brings them together again",
            self.after_both_lost_each_other,
        )


def main():
    parser = argparse.ArgumentParser()
    for name in ("lab", "folder", "results", "ada", "ben", "transport"):
        parser.add_argument(f"--{name}", required=True)
    case = Case(parser.parse_args())
    try:
        case.run()
    finally:
        case.lab.stop_all()


main()
