"""Write and read metadata as XMP, which JPEG and WebP carry."""

import json
import re
from collections.abc import Mapping
from html import escape, unescape
from typing import Any

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:vqclip="urn:vqclip">\
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>\
<vqclip:facts>{facts}</vqclip:facts></rdf:Description></rdf:RDF></x:xmpmeta>"""


def encode(metadata: Mapping[str, Any], title: str) -> bytes:
    """Encode metadata, as JSON, and a title that viewers show."""
    return _XMP.format(title=escape(title), facts=escape(json.dumps(metadata))).encode()


def decode(xmp: bytes) -> str | None:
    """Find the JSON of the metadata, or give None if there is none."""
    match = re.search(r"<vqclip:facts>(.*?)</vqclip:facts>", xmp.decode(errors="replace"), re.DOTALL)
    return unescape(match[1]) if match else None
