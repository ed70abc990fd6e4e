"""What the documents tell people to type, and which test does it (tools/document_blocks.txt)."""

import collections
import fnmatch
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLAIMS = "tools/document_blocks.txt"
SKIPPED_FOLDERS = {".git", "build", "node_modules", ".cache", "__pycache__"}
FENCE = re.compile(r"( {0,3})```(\w*)\s*$")

# `heading` is that above it, `path` and `line` say where it stands.
Block = collections.namedtuple("Block", "path line heading language text")
# `how`: run, form or shown; `test` is a path, or - where it is only shown.
Claim = collections.namedtuple("Claim", "line document heading language how test reason")


def read_document(path, root=ROOT):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def read_blocks(path, root=ROOT):
    """The fenced blocks of a document."""
    found, heading, open_at, lines, language = [], "", None, [], ""
    for number, line in enumerate(read_document(path, root).splitlines(), 1):
        fence = FENCE.match(line)
        if open_at is not None and fence and not fence[2]:
            found.append(Block(path, open_at, heading, language, "".join(f"{l}\n" for l in lines)))
            open_at = None
        elif open_at is not None:
            lines.append(line)
        elif fence:
            open_at, lines, language = number, [], fence[2]
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    return found


def all_documents(root=ROOT):
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        found += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(files)
                  if name.endswith(".md")]
    return found


def shell_lines(text):
    """The lines of all blocks marked `sh`."""
    return [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            for line in block.splitlines() if line.strip()]


def read_claims(root=ROOT):
    claims = []
    for number, line in enumerate(read_document(CLAIMS, root).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) not in (4, 5):
            raise ValueError(f"{CLAIMS}:{number}: not 'document | language | how | test | reason'")
        document, _, heading = parts[0].partition("#")
        claims.append(Claim(number, document, heading, *parts[1:4], parts[4] if len(parts) > 4 else ""))
    return claims


def covers(claim, block):
    return fnmatch.fnmatchcase(block.path, claim.document) and claim.language == block.language and \
        claim.heading in ("", block.heading)


def claimed_blocks(test, documents, root=ROOT):
    """The blocks of those documents that are this test's, in their order. `test` is its __file__."""
    name = os.path.relpath(os.path.abspath(test), root)
    mine = [claim for claim in read_claims(root) if claim.test == name]
    blocks = [block for path in documents for block in read_blocks(path, root)
              if any(covers(claim, block) for claim in mine)]
    if not blocks:
        raise ValueError(f"{CLAIMS} has nothing for {name}")
    return blocks
