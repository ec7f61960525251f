#!/usr/bin/env python3
"""Verify a served log with tlog-scales, a library that shares no code with Recall.

Usage: verify_with_tlog_scales.py URL|FOLDER VKEY

Checks the checkpoint's signature and origin, the root recomputed from the tiles, and for every entry that its leaf hash is included
under that root. Prints one line; exits 0 if all of it holds, 1 with the first thing that does not.
"""

import sys

from tlog_scales import tiles
from tlog_scales.backend import make_backend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey


def verify(location: str, vkey_text: str) -> str:
    vkey = Vkey.from_string(vkey_text)
    # The key's id is recomputed from name and key, not taken from the text.
    if Vkey(vkey.name, None, vkey.sig_type, vkey.pubkey).key_id != vkey.key_id:
        raise RuntimeError("the key's id does not belong to the key")
    reader = TilesReader(make_backend(location))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(vkey)
    if checkpoint.origin != vkey.name:
        raise RuntimeError("the checkpoint's origin is not the key's name")
    if reader.calculate_root_hash() != checkpoint.root_hash:
        raise RuntimeError("the tiles do not hash to the checkpoint's root")
    for index in range(checkpoint.size):
        leaf = tiles.leaf_hash(reader.get_entry(index))
        try:
            reader.get_inclusion_proof(index, checkpoint.size).check(leaf, checkpoint.root_hash)
        except Exception as error:
            raise RuntimeError(f"entry {index}: {error}") from error
    return f"signature, root and {checkpoint.size} entries verified by tlog-scales"


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(verify(sys.argv[1], sys.argv[2]))
    except Exception as error:
        print(f"not verified: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
