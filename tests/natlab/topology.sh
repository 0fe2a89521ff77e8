# The laboratory's network, to be sourced. One network namespace each:
#
#   ada ── nat-ada ──┐              10.71.1.0/24 behind 203.0.113.21
#                    ├── internet ── relay   203.0.113.10 (and .11, for the mapping probe)
#   ben ── nat-ben ──┘              10.71.2.0/24 behind 203.0.113.22
#
# Kinds of NAT: `cone` keeps a host's port whoever it talks to (endpoint-independent mapping),
# `symmetric` takes another port for everyone (address- and port-dependent mapping). Both let in
# only answers (address- and port-dependent filtering).
#
# Needs `lab`, a prefix of its own, so that laboratories do not meet and nothing else is touched.

PLACES=(internet relay nat-ada ada nat-ben ben)

# in_place PLACE COMMAND…: runs a command in a namespace.
in_place() {
  local place=$1
  shift
  ip netns exec "$lab-$place" "$@"
}

# wire PLACE DEVICE PLACE DEVICE: a cable between two namespaces, both ends up.
wire() {
  ip link add "$2" netns "$lab-$1" type veth peer name "$4" netns "$lab-$3"
  ip -n "$lab-$1" link set "$2" up
  ip -n "$lab-$3" link set "$4" up
}

# on_internet PLACE PORT ADDRESS…: plugs a namespace into the bridge.
on_internet() {
  local place=$1 port=$2 address
  shift 2
  wire internet "$port" "$place" eth0
  ip -n "$lab-internet" link set "$port" master br0
  for address in "$@"; do ip -n "$lab-$place" addr add "$address/24" dev eth0; done
}

# behind_nat HOST KIND OUTSIDE NET: a host on NET.0/24 behind a NAT box that is OUTSIDE.
behind_nat() {
  local host=$1 kind=$2 outside=$3 net=$4 translate
  case $kind in
    cone) translate="snat to $outside" ;;
    symmetric) translate="masquerade fully-random" ;;
    *) echo "natlab: no such NAT: $kind (cone, symmetric)" >&2; return 2 ;;
  esac
  on_internet "nat-$host" "$host" "$outside"
  wire "nat-$host" inside "$host" eth0
  ip -n "$lab-nat-$host" addr add "$net.1/24" dev inside
  ip -n "$lab-$host" addr add "$net.2/24" dev eth0
  ip -n "$lab-$host" route add default via "$net.1"
  in_place "nat-$host" sysctl -qw net.ipv4.ip_forward=1
  # A real NAT box is silent about what it does not expect. Left to itself, the kernel would
  # answer with RST or ICMP, which ends a TCP connection that is being punched.
  in_place "nat-$host" nft -f - <<RULES
table ip box {
  chain outward { type nat hook postrouting priority 100; oifname "eth0" $translate; }
  chain through {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "inside" accept
  }
  chain itself { type filter hook input priority 0; policy accept; iifname "eth0" ct state new drop; }
}
RULES
}

# build KIND_OF_ADA KIND_OF_BEN
build() {
  local place
  for place in "${PLACES[@]}"; do
    ip netns add "$lab-$place"
    ip -n "$lab-$place" link set lo up
  done
  ip -n "$lab-internet" link add br0 type bridge
  ip -n "$lab-internet" link set br0 up
  on_internet relay relay 203.0.113.10 203.0.113.11
  behind_nat ada "$1" 203.0.113.21 10.71.1
  behind_nat ben "$2" 203.0.113.22 10.71.2
}

# tear_down: ends what runs in this laboratory, and removes it. May be called at any time.
tear_down() {
  local place pids
  for place in "${PLACES[@]}"; do
    [ -e "/run/netns/$lab-$place" ] || continue
    pids=$(ip netns pids "$lab-$place")
    [ -z "$pids" ] || kill -9 $pids 2>/dev/null || true
    ip netns del "$lab-$place" || true
  done
}
