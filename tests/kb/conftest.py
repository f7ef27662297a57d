"""Small terminologies of our own, one a format, with what goes wrong in real ones."""

from __future__ import annotations

import pytest

OBO = r"""format-version: 1.2
ontology: toy

[Term]
id: TOY:1
name: stone fever ! a comment
namespace: toys
alt_id: TOY:9
def: "A fever of stones." [url:http\://example.org]
synonym: "Fever \"of stones\"" EXACT [MESH:D000001]
synonym: "SF" RELATED OMO:0003012 []
synonym: "SF" EXACT []
synonym: "stony heat" []
xref: MIM:100001
xref: SNOMEDCT_US_2025_09_01:42 {source="toy"}
xref: http://example.org/wiki/Category\:Fever_%x
is_a: TOY:3 ! fever

[Term]
id: TOY:2
name: obsolete sand fever
is_obsolete: true

[Term]
id: OTHER:1
is_a: TOY:1

[Term]
id: CELL:1
name: grey cell {note="kept simple"}

[Typedef]
id: part_of
name: part of
"""

OWL = r"""Prefix(obo:=<http://purl.obolibrary.org/obo/>)
Prefix(owl:=<http://www.w3.org/2002/07/owl#>)
Prefix(rdfs:=<http://www.w3.org/2000/01/rdf-schema#>)
Prefix(in:=<http://www.geneontology.org/formats/oboInOwl#>)

Ontology(<http://example.org/toy.owl>
Import(<http://example.org/never-read.owl>)
Annotation(rdfs:comment "a (single bracket")
Declaration(Class(obo:TOY_1))
Declaration(ObjectProperty(obo:TOY_7))

# Class: obo:TOY_1 (stone fever)

AnnotationAssertion(in:hasExactSynonym obo:TOY_1 "fever
  of \"stones\"")
AnnotationAssertion(Annotation(in:hasDbXref "PMID:1")
  in:hasBroadSynonym obo:TOY_1 "fever"@en)
AnnotationAssertion(rdfs:label obo:TOY_1
  "stone fever"^^<http://www.w3.org/2001/XMLSchema#string>)
AnnotationAssertion(in:hasDbXref obo:TOY_1 "MSH:D000001"^^xsd:string)
SubClassOf(obo:TOY_1 ObjectSomeValuesFrom(obo:TOY_7 <http://purl.obolibrary.org/obo/TOY_3>))
AnnotationAssertion(rdfs:label <http://purl.obolibrary.org/obo/TOY_2> "sand fever")
AnnotationAssertion(owl:deprecated obo:TOY_2 "true"^^xsd:boolean)
AnnotationAssertion(rdfs:comment obo:TOY_3 "it has no name")
AnnotationAssertion(rdfs:label obo:TOY_7 "causes")
AnnotationAssertion(rdfs:label <http://example.org/own#thing> "thing")
)
"""

TSV = (
    "?ID\tPreferred name\tType\tSynonyms\txrefs\tremark\n"
    '"TOY:1"\t"stone ""hot"" fever"\t\tSF|stony heat\tMESH:D000001 OMIM:100001\tx\n'
    "\n"
    "D000002\trust\tMETAL\n"
    "\tnameless id\n"
)

CTD = (
    "# A table with its header in a comment:\n"
    "# DiseaseName\tDiseaseID\tAltDiseaseIDs\tSynonyms\n"
    "#\n"
    "Stone Fever\tMESH:D000001\tOMIM:1|DO:DOID:2\tHeat, Stony|SF\n"
)


@pytest.fixture
def sources(tmp_path):
    """Name -> path of each terminology."""
    texts = {"toy.obo": OBO, "toy.owl": OWL, "toy.tsv": TSV, "ctd.tsv": CTD}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf8")
    return {name: tmp_path / name for name in texts}
