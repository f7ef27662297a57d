"""A few sentences to try a pipeline on, written for this; they need not be true."""

SENTENCES = """
Mutations of BRCA1 and BRCA2 raise the risk of hereditary breast and ovarian cancer.
Cisplatin-induced nephrotoxicity was milder in rats given N-acetylcysteine.
The IL-2 receptor alpha chain is transcribed in T lymphocytes and Jurkat cells.
We report a 54-year-old woman with type 2 diabetes mellitus and chronic kidney disease.
Escherichia coli and Saccharomyces cerevisiae were grown at 37 and 30 °C.
No patient with ataxia telangiectasia carried the C282Y variant of the HFE gene.
Binding of NF-kappa B to the HIV-1 LTR was abolished by the antioxidant PDTC (100 µM).
HeLa and MCF-7 cells were transfected with siRNA against p53 or a scrambled one.
Acute renal failure and hypotension followed the third dose of amphotericin B.
Phosphorylation of STAT3 by JAK1 was seen in CD34+ haematopoietic progenitors only.
In mice fed a high-fat diet, metformin lowered hepatic triglycerides and serum insulin.
Duchenne muscular dystrophy is caused by loss of dystrophin; Becker's form is milder.
The 5'-flanking region of the human beta-globin gene binds GATA-1 and Sp1.
Lithium toxicity presented as tremor, confusion and nephrogenic diabetes insipidus.
Arabidopsis thaliana seedlings lacking PHYB flower early under short days.
Both siblings had Wilson's disease, with copper deposits in the liver and the cornea.
""".strip().split("\n")
