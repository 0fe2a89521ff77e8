#!/usr/bin/env bash
# Runs a command with an XMPP server of its own, to compare the relay with: tests/load/xmpp.sh ejabberd cargo run …
# The first argument is the server, ejabberd or prosody; it is installed from Debian's packages if it is missing.
# The server listens on 127.0.0.1 only, stores in a new folder that is removed at the end, and ends with the command, which gets
# KITH_XMPP_HOST, KITH_XMPP_PORT, KITH_XMPP_PID (the process itself, beam.smp or lua) and KITH_XMPP_NAME ("ejabberd 23.01-1").
#
# ejabberd is the one to compare with: it uses all cores and stored two to four times as many messages per second on two of them;
# prosody has one thread, needs twice the time for ten thousand logins, and holds them in somewhat less memory.
#
# What is confirmed is not durable in either (seen with strace):
# - ejabberd confirms a message that is in memory only; it goes to mnesia's log up to two, to its table up to three seconds later,
#   without fsync. To a user with many waiting messages it rewrites all of them in that table when it writes one.
# - prosody appends to the user's file before it confirms, without fsync: an end of the process loses nothing, one of the machine does.
#
# The accounts are u0@load.test to u9999@load.test with the password p. What a client says and waits for; a stream is opened twice:
#   <?xml version='1.0'?><stream:stream to='load.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
#     until </stream:features>
#   <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>base64 of \0u0\0p</auth>
#     until <success …/>, then the stream is opened again, with the same text
#   <iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>
#     until </iq>; a client that only sends needs no presence, one that wants its waiting messages sends
#   <presence/>
#     and gets them as <message …><body>…</body><delay xmlns='urn:xmpp:delay' …/></message> (delay before body in ejabberd), and its
#     own <presence …/> before them (prosody) or after them (ejabberd); the answer to a ping that follows <presence/> is after all
#   <message to='u1@load.test' type='chat' id='m1'><body>…</body></message>
#     has no answer; that the server is done with all before it is known by the answer to a ping, <iq type='result' id='p' …
#   <iq type='get' id='p' to='load.test'><ping xmlns='urn:xmpp:ping'/></iq>
#     or by an acknowledgement, <a … h='count of stanzas'/>, to <r xmlns='urn:xmpp:sm:3'/>, which is allowed after
#   <enable xmlns='urn:xmpp:sm:3'/> and its <enabled …/>, once after the bind.
# The order of attributes and the quotes differ. A receiver that has enabled acknowledgements is asked with <r/> as well and has to
# answer with <a xmlns='urn:xmpp:sm:3' h='…'/>, or what it got waits for it again; without them what was sent to it counts as received.
set -euo pipefail

kind=${1:-}
case $kind in
  ejabberd | prosody) shift ;;
  *) echo "usage: $0 ejabberd|prosody command…" >&2; exit 2 ;;
esac
[ $# -gt 0 ] || { echo "usage: $0 ejabberd|prosody command…" >&2; exit 2; }

installed() { dpkg-query -W -f '${db:Status-Status}' "$kind" 2>/dev/null | grep -qx installed; }
if ! installed; then
  [ "$(id -u)" = 0 ] || { echo "$kind is needed: apt-get install $kind" >&2; exit 1; }
  # The package's own service must not start: it would listen on every address.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  else
    policy=
  fi
  export DEBIAN_FRONTEND=noninteractive
  { apt-get install -y --no-install-recommends "$kind" \
    || { apt-get update && apt-get install -y --no-install-recommends "$kind"; }; } >&2
  [ -z "$policy" ] || rm -f "$policy"
  trap - EXIT
fi

# Ten thousand connections, the files of the store and some reserve; less than that is for small trials only.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 12000 ] || echo "only $(ulimit -n) open files: too few for 10000 clients" >&2

place=$(mktemp -d "/tmp/kith-$kind.XXXXXX")
# The server does not run as root.
as_server=()
if [ "$(id -u)" = 0 ]; then
  chown "$kind" "$place"
  as_server=(setpriv "--reuid=$kind" "--regid=$kind" --clear-groups)
fi
server=
cleanup() {
  trap '' INT TERM
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    # Nothing of the store is needed any more: what has not ended itself after ten seconds is ended.
    for _ in $(seq 100); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$place"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A port that was free a moment ago: neither server can say which one it got if it is told 0.
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')

ejabberd_start() {
  local ebin
  ebin=$(find /usr/lib -path '*/ejabberd-*/ebin/ejabberd.beam' | head -1)
  [ -n "$ebin" ] || { echo "no ejabberd.beam under /usr/lib" >&2; exit 1; }
  # Plain TCP with SASL PLAIN, as everything is on loopback and TLS is not what is compared. No shaper, no bounds on queues.
  cat >"$place/ejabberd.yml" <<YML
loglevel: warning
hosts: [load.test]
listen:
  - port: $port
    ip: 127.0.0.1
    module: ejabberd_c2s
    backlog: 4096
    max_stanza_size: 262144
    starttls: false
    shaper: none
    access: all
s2s_access: none
acme:
  auto: false
auth_method: mnesia
auth_password_format: plain
cache_size: 20000
max_fsm_queue: 1000000
shaper_rules:
  max_user_offline_messages: infinity
modules:
  mod_disco: {}
  mod_offline:
    db_type: mnesia
    access_max_user_messages: max_user_offline_messages
  mod_ping: {}
  mod_roster: {}
  mod_stream_mgmt:
    max_ack_queue: infinity
    resend_on_timeout: if_offline
YML
  # ejabberdctl's own options; erl itself is started, so that its process id is the server's and there is neither epmd nor a
  # listener for other nodes (no -name). The accounts are made by the server after its start, the file says that they are there.
  "${as_server[@]}" env -i PATH="$PATH" HOME="$place" ERL_LIBS="$(dirname "$(dirname "$(dirname "$ebin")")")" \
    EJABBERD_CONFIG_PATH="$place/ejabberd.yml" EJABBERD_LOG_PATH="$place/ejabberd.log" \
    ERL_CRASH_DUMP_BYTES=0 ERL_MAX_PORTS=65536 ERL_MAX_ETS_TABLES=2053 \
    erl +K true +P 262144 -noinput -mnesia dir "\"$place/mnesia\"" -s ejabberd -eval '
      [ok = ejabberd_auth:try_register(<<"u", (integer_to_binary(I))/binary>>, <<"load.test">>, <<"p">>) || I <- lists:seq(0, 9999)],
      ok = file:write_file("'"$place"'/ready", <<>>).' </dev/null >"$place/log" 2>&1 &
  server=$!
}

prosody_start() {
  # Plain TCP with SASL PLAIN, as everything is on loopback and TLS is not what is compared. Any name and password is right.
  # The bound of 500 unacknowledged stanzas stays: prosody reserves memory for all of them in each session (16 MB for a million).
  cat >"$place/prosody.cfg.lua" <<LUA
data_path = "$place"
certificates = "$place"
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = { $port }
modules_enabled = { "roster", "saslauth", "disco", "ping", "smacks" }
modules_disabled = { "s2s", "s2s_auth_certs", "tls", "http" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "insecure"
insecure_open_authentication = "Yes please, I know what I'm doing!"
storage = "internal"
storage_archive_item_limit = 1000000000
network_backend = "epoll"
network_settings = { tcp_backlog = 4096, nagle = false, read_timeout = 3600 }
log = { warn = "*console" }
VirtualHost "load.test"
LUA
  "${as_server[@]}" env -i PATH="$PATH" HOME="$place" /usr/bin/prosody -F --config "$place/prosody.cfg.lua" \
    </dev/null >"$place/log" 2>&1 &
  server=$!
}

cd /
"${kind}_start"
# It is ready when its port answers and, for ejabberd, the accounts are there.
for _ in $(seq 600); do
  kill -0 "$server" 2>/dev/null || { cat "$place"/*log >&2; server=; exit 1; }
  if { [ "$kind" = prosody ] || [ -e "$place/ready" ]; } && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    ready=1
    break
  fi
  sleep 0.1
done
[ -n "${ready:-}" ] || { echo "$kind was not ready after a minute" >&2; cat "$place"/*log >&2; exit 1; }
cd "$OLDPWD"

KITH_XMPP_HOST=127.0.0.1 KITH_XMPP_PORT=$port KITH_XMPP_PID=$server \
  KITH_XMPP_NAME="$kind $(dpkg-query -W -f '${Version}' "$kind")" "$@"
