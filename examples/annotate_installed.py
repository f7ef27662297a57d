"""Load an installed pipeline by its name and print a file's entities.

python examples/annotate_installed.py en_bioner_gerbera FILE
python examples/annotate_installed.py en_bioner_smoke --path FOLDER FILE
"""

import argparse
import sys
from pathlib import Path

import spacy

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("name", help="an installed pipeline package")
parser.add_argument("file", type=Path, help="a text file")
parser.add_argument("--path", help="where `pip install --target` put it")
args = parser.parse_args()
if args.path:
    sys.path.insert(0, args.path)

nlp = spacy.load(args.name)
doc = nlp(args.file.read_text(encoding="utf-8"))
for key, group in doc.spans.items():
    heads = group.attrs.get("heads", [key] * len(group))  # of several, who found it
    for span, score, head in zip(group, group.attrs["scores"], heads, strict=True):
        print(f"{span.label_:10} {score:.2f} {head:14} {span.text}")
print(f"{len(doc.ents)} entities in doc.ents")
