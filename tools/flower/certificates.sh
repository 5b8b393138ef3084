#!/bin/sh
# Keys for a real deployment: certificates.sh DIR HOST NODE...
#   DIR/ca.crt          goes to every node and to who submits runs; DIR/ca.key stays where it is
#   DIR/server.pem,.key of the SuperLink on HOST (a name or an IPv4 address)
#   DIR/NODE.key,.pub   a key pair for each SuperNode; the public one is registered: flwr supernode register DIR/NODE.key.pub CONNECTION
# Files that exist stay, so that nodes can be added later.
set -eu
[ $# -ge 3 ] || { echo "usage: certificates.sh DIR HOST NODE..." >&2; exit 64; }
folder=$1 host=$2; shift 2
mkdir -p "$folder"; cd "$folder"; umask 077
if [ ! -f ca.key ]; then
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -sha256 -days 365 -subj "/O=fedclamp/CN=fedclamp federation" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.crt
fi
if [ ! -f server.key ]; then
    case $host in *[!0-9.]*) name="DNS:$host";; *) name="IP:$host";; esac
    openssl ecparam -name prime256v1 -genkey -noout -out server.key
    openssl req -new -key server.key -subj "/O=fedclamp/CN=$host" -out server.csr
    printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' \
        "subjectAltName=$name,DNS:localhost,IP:127.0.0.1" > server.ext
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -sha256 -extfile server.ext -out server.pem 2>/dev/null
    openssl verify -CAfile ca.crt server.pem
    rm -f server.csr server.ext
fi
for node in "$@"; do
    [ -f "$node.key" ] || ssh-keygen -q -t ecdsa -b 384 -N "" -C "$node" -f "$node.key"
done
ls -l
