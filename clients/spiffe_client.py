# SPIFFE's own Python client, unchanged: it knows SPIFFE_ENDPOINT_SOCKET and nothing of us. Says as
# JSON lines what it got: an SVID with its bundle, then the next one after a rotation.
import json
import queue
import sys

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from spiffe import WorkloadApiClient, X509Source
from spiffe.errors import PySpiffeError


def say(event, **members):
    print(json.dumps({'event': event, **members}), flush=True)


def told(svid, source):
    domain = svid.spiffe_id.trust_domain
    public = svid.private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    of_leaf = svid.leaf.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        'spiffe_id': str(svid.spiffe_id),
        'serial': str(svid.leaf.serial_number),
        'key_is_the_leafs': public == of_leaf,
        'authorities': len(source.get_bundle_for_trust_domain(domain).x509_authorities),
    }


def now(source):
    return source.get_x509_context().default_svid


def main():
    changed = queue.Queue()
    with X509Source(timeout_in_seconds=20) as source:
        source.subscribe_for_updates(lambda: changed.put(None))
        first = now(source)
        say('svid', **told(first, source))
        serial = first.leaf.serial_number
        while now(source).leaf.serial_number == serial:
            changed.get(timeout=60)
        say('rotated', **told(now(source), source))
    with WorkloadApiClient() as client:
        try:
            client.fetch_jwt_svid(audience={'somebody'})
            say('jwt', given=True)
        except PySpiffeError as error:
            say('jwt', given=False, error=str(error))


if __name__ == '__main__':
    sys.exit(main())
