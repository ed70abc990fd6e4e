"""The other end for payload_cipher_test: AES-256-GCM by python3-cryptography, which shares no code of
ours. Lines of "seal|open <key in hex> <bound in hex> <nonce or text>" in, one line of hex out each.
"""
import base64
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def seal(key, bound, nonce, plain):
    sealed = AESGCM(key).encrypt(nonce, plain, bound)
    return base64.b64encode(nonce + sealed[-16:] + sealed[:-16]).decode()


def unseal(key, bound, text):
    octets = base64.b64decode(text, validate=True)
    return AESGCM(key).decrypt(octets[:12], octets[28:] + octets[12:28], bound).hex()


def main():
    for line in sys.stdin:
        verb, key, bound, *rest = line.rstrip("\n").split(" ")
        key, bound = bytes.fromhex(key), bytes.fromhex(bound)
        if verb == "seal":
            print(seal(key, bound, bytes.fromhex(rest[0]), bytes.fromhex(rest[1])))
        else:
            print(unseal(key, bound, rest[0]))


if __name__ == "__main__":
    main()
