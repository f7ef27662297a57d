"""Coded messages: what happened, with which value, and what to do about it."""

from __future__ import annotations


class _Coded(type):
    """Prefix every message with its code: `Errors.B001` reads `[B001] …`."""

    def __getattribute__(cls, code: str) -> str:
        message = super().__getattribute__(code)
        return f"[{code}] {message}" if not code.startswith("__") else message


class BionerError(ValueError):
    """Bad input or settings; the message names what is wrong and the mend."""


class Errors(metaclass=_Coded):
    # 1xx: corpora
    B101 = "{path}:{line}: {problem}"
    B102 = "No reader for the format '{format}'. Choose one of: {known}."
    B103 = "No document left to write to {output}. Check the input, --ids and --slice."
    B104 = "--{option} {value}: expected {expected}."
    B105 = "The output {output} must end in .spacy."
    B106 = "None of the {count} ids of {path} is in the corpus (it has {example}…)."
    B107 = "The format '{format}' has no option --{option}."
    B108 = "{path} is no file that `convert` made, nor a folder of such files."
    B109 = "The tokenizer of '{encoder}' cannot be loaded: {error}"

    # 3xx: components
    B301 = (
        "Component '{name}' found no entity labels to learn. Its training documents "
        "need `doc.ents`; or pass `labels` in [initialize.components.{name}]."
    )
    B302 = (
        "'{owner}' cannot own the label '{label}' in component '{name}': it has the "
        "heads {heads}. Name one of them, or join several with '+'."
    )
    B303 = "ents_policy is '{policy}'; choose one of {known}."
    B304 = (
        "'{path}' holds no head that component '{name}' could start from: it has "
        "{found}, wanted {wanted} with the same labels."
    )
    B305 = (
        "Component '{name}' has its heads already; add label '{label}' before "
        "`nlp.initialize`."
    )
    B306 = (
        "This encoder cannot be copied into the components that listen to it. For a "
        "component that stands alone, run `spacy bioner compile`."
    )

    # 4xx: training
    B401 = "The corpus of task '{task}' is not at {path}. Run the convert step first."
    B402 = "weights names the task '{task}', but the sources are {known}."

    # 5xx: compiled pipelines
    B501 = (
        "A compiled pipeline cannot be trained. Train the pipeline that it was "
        "compiled from, then run `python -m spacy bioner compile` again."
    )
    B502 = (
        "This tagger holds no compiled graph. Load a pipeline that `python -m spacy "
        "bioner compile` wrote."
    )
    B503 = "--quantize is '{quantize}'; choose 'int8' or 'none'."
    B504 = (
        "'{path}' has no component 'transformer' to compile, only {found}. Compile the "
        "trainable form of a pipeline."
    )
    B505 = (
        "The encoder's architecture is not spacy-bioner.TransformerModel.v1, the only "
        "one that can be compiled."
    )
    B506 = (
        "The components on the transformer are {found}; only gerbera_ner and "
        "nested_spancat can be compiled, at least one of them. Remove the others from "
        "the pipeline first."
    )
    B507 = "The encoder {encoder} cannot be compiled: it is not built like BERT."
    B508 = (
        "The compiled graph of the encoder {encoder} gives other scores than the "
        "encoder itself (they differ by {error:.2g}): it cannot be compiled."
    )
    B509 = "{path} is there already and is no compiled pipeline. Name another folder."
    B511 = "The sample {path} holds no text. Write one text a line."
    B512 = "Component '{name}' has no biomedical head to compile. Train it first."
    B513 = "Compiling needs {modules}: run `pip install 'spacy-bioner[train]'`."
    B514 = (
        "Component '{name}' takes its scores from the graph of the component that it "
        "was compiled with, which has not run on this document. Put that component "
        "before it, from the same pipeline."
    )

    # 6xx: commands around a pipeline
    B601 = "The pipeline '{model}' cannot be loaded: {error}"
    B602 = "--render {style}: choose 'ent' (doc.ents) or 'span' (all heads' spans)."
    B603 = "{path} cannot be read: {error}."
    B604 = "--source {value}: expected NAME=FILE."
    B605 = "No corpus of task '{task}' at {path}. Run the convert step first."
    B606 = "'{model}' has no `gerbera_ner`, so there are no heads to measure."
    B607 = "Name corpora: --source NAME=FILE.spacy, or --targets with --data."
    B608 = "{path} is no .txt or .spacy file, nor a folder of such files."
    B609 = "{path} holds no archive to unpack (.tar.xz, .tar.gz, .tgz, .txt.xz)."
    B610 = "{path} exists and is no package; choose another place."
    B611 = "{path} is no package name: expected FOLDER/{lang}_NAME."
    B612 = (
        "--half is for a trainable pipeline with a `transformer`; this one has "
        "{components}."
    )

    # 7xx: language models
    B701 = (
        "The label '{label}' cannot begin a line of tagged text. Use labels that are "
        "not empty and have no line break."
    )
    B702 = "The span {start}-{end} is empty or outside its text of {size} characters."
    B703 = "There is no prompt template for '{language}', only for {known}. Pass one."
    B704 = (
        "Few-shot example {number} cannot be used: {problem} Give a `text` and an "
        "`answer`, as the model should write it."
    )
    B705 = (
        "The endpoint '{endpoint}' is no address of a server. Give the base address of "
        "its OpenAI-compatible API, such as http://127.0.0.1:8000/v1."
    )
    B706 = (
        "api_key_env names the environment variable {variable}, which is not set. Set "
        "it, or leave api_key_env out for a server that wants no key."
    )
    B707 = (
        "No usable answer from {url}, tried {tries} times; last: {problem}. If a cache "
        "is set, what was answered is in it, and another run goes on from there."
    )
    B708 = "{url} refused the request: {problem}."
    B709 = "{name} = {value} is out of range: expected {expected}."

    # 8xx: spans
    B801 = (
        "Component '{name}' found no span labels to learn. Its training documents "
        "need `doc.spans['{key}']`; or pass `labels` in [initialize.components.{name}]."
    )
    B802 = (
        "Component '{name}' was given no document with tokens to initialize from. "
        "Check the training corpus."
    )

    # 9xx: knowledge bases
    B901 = "{path} is no .spacy file of `convert`."
    B902 = (
        "{path} is OWL in XML. Save it in functional syntax or OBO, for instance with "
        "`robot convert -i {path} -o NAME.ofn`."
    )
    B903 = (
        "{path} has no header that names the column of the names. Its first line must "
        "hold the columns' names, by tabs; one of them: {known}."
    )
    B904 = "What kind of terminology is {path}? Its name must end in one of: {known}."
    B905 = "{path} is no knowledge base that `bioner kb` wrote: {error}."
    B906 = "No name left to write to {output}. Check the sources, --labels: {counts}."
    B907 = "The output {output} must end in .jsonl or .jsonl.gz."
