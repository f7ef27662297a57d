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
    # 0xx: beside other components
    B001 = (
        "The span group '{key}' has other spans than when it was scored. Change its "
        "attrs['scores'] along with its spans, or make a new group."
    )
    B002 = (
        "Another package has registered `span._.{name}`. Choose another name: "
        "`register_confidence(NAME)`."
    )
    B003 = (
        "The document has no span group '{key}', only {known}. Run the component that "
        "writes it first."
    )
    B004 = "style is '{style}'; choose 'ent' (doc.ents) or 'span' (a span group)."
    B005 = (
        "No abbreviations to read: put scispaCy's `abbreviation_detector` before this "
        "component (`pip install scispacy`)."
    )
    B006 = "policy is '{policy}'; choose one of {known}."
    B007 = (
        "Component '{name}' writes over what '{other}' puts aside: both have the "
        "spans_key '{key}'. Give one of them another."
    )
    B008 = (
        "Tokens were merged or split behind the abbreviation_detector, and {count} of "
        "its finds stand on none any more. Put the detector behind what changes tokens."
    )

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
    B110 = "--only-mapped drops every label that --labels does not name. Name some."
    B111 = (
        "The document '{text}…' has no id to find its answer by. Make the corpus with "
        "`convert`, or set `doc.user_data['id']`."
    )

    # 2xx: candidates
    B201 = (
        "Component '{name}' found no span labels to learn. Its training documents need "
        "`doc.spans['{key}']` or `doc.ents`; or pass `labels` in "
        "[initialize.components.{name}]."
    )
    B202 = "{setting} is '{value}'; choose one of {known}."
    B203 = "'{model}' has no `candidate_filter` to tune, only {found}."
    B204 = (
        "{path} has no candidates to tune on. It needs the span groups {keys}, of "
        "candidates and of gold, or --simulate to make the first of the second."
    )

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

    B307 = (
        "Component '{name}' finds nothing in documents of the task '{task}': its heads "
        "are {heads}. If that is no head of another component, take it away: "
        "`set_task(doc, None)`."
    )
    B308 = (
        "Component '{name}' learns nothing from examples that name no task: it has no "
        "head '{head}', only {heads}. Name one, `set_task(example.predicted, HEAD)`, "
        "or make one the `default_head` of the component's `cfg`."
    )

    # 4xx: training
    B401 = "The corpus of task '{task}' is not at {path}. Run the convert step first."
    B402 = "{setting} names the task '{task}', but the sources are {known}."
    B403 = (
        "{path} is the checkpoint of another training (it differs in: {what}). Name "
        "another folder, or begin anew with --restart."
    )
    B404 = (
        "--general goes with a component 'ner' that has a head for each corpus; this "
        "config has only {components}."
    )

    B405 = (
        "The best step cannot be chosen: the dev set gives none of the scores {wanted} "
        "of [training.score_weights]. Does it have the annotation that is trained on?"
    )

    B406 = "Nothing to pretrain on: {count} texts, none of four word pieces or more."
    B407 = (
        "Going on from {path}, the schedule of batch sizes begins anew: the weights "
        "will not be those of a run without a break. A constant size avoids that."
    )

    # 5xx: compiled pipelines
    B501 = (
        "A compiled pipeline cannot be trained. Train the pipeline that it was "
        "compiled from, then run `python -m spacy bioner compile` again."
    )
    B502 = (
        "This component holds no compiled graph. Load a pipeline that `python -m spacy "
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
        "The components on the transformer are {found}; only gerbera_ner, "
        "nested_spancat and candidate_filter can be compiled, at least one of them. "
        "Remove the others from the pipeline first."
    )
    B507 = "The encoder {encoder} cannot be compiled: it is not built like BERT."
    B508 = (
        "The compiled graph of the encoder {encoder} gives other scores than the "
        "encoder itself (they differ by {error:.2g}): it cannot be compiled."
    )
    B509 = "{path} is there already and is no compiled pipeline. Name another folder."
    B511 = "The sample {path} holds no text. Write one a line, in UTF-8."
    B512 = "Component '{name}' has no biomedical head to compile. Train it first."
    B513 = "Compiling needs {modules}: run `pip install 'spacy-bioner[train]'`."
    B514 = (
        "Component '{name}' takes its scores from the graph of the component that it "
        "was compiled with, which has not run on this document. Put that component "
        "before it, from the same pipeline."
    )
    B515 = "Int8 needs sample text and found no word in it. Give some text like yours."
    B516 = (
        "Tokens were merged or split between component '{name}' and the one before it "
        "that its graph runs in. Move what does that (`merge_entities`) behind both."
    )

    # 6xx: commands around a pipeline
    B601 = "The pipeline '{model}' cannot be loaded: {error}"
    B602 = "--render {style}: choose 'ent' (doc.ents) or 'span' (overlapping spans)."
    B603 = "{path} cannot be read: {error}."
    B604 = "--{option} {value}: expected NAME=PATH."
    B605 = "No corpus of task '{task}' at {path}. Run the convert step first."
    B606 = (
        "'{model}' has no `gerbera_ner` to measure, and no `nested_spancat` whose span "
        "group the corpus annotates (`convert --nested`)."
    )
    B607 = "Name corpora: --source NAME=FILE.spacy, or --targets with --data."
    B608 = "{path} is no .txt or .spacy file, nor a folder of such files."
    B609 = "{path} holds no archive to unpack (.tar.xz, .tar.gz, .tgz, .xz, .gz)."
    B610 = "{path} exists and is no package; choose another place."
    B611 = "{path} is no package name: expected FOLDER/{lang}_NAME."
    B612 = (
        "--half is for a trainable pipeline with a `transformer`; this one has "
        "{components}."
    )
    B613 = (
        "Nothing to settle on {tasks}: no component of {names} has a head of such a "
        "name, or a document with its span group. Name the corpora of its training."
    )
    B614 = "There is no component '{name}', only {known}."
    B615 = (
        "The pipeline '{model}' has no trained transformer, only {names}. Name the "
        "trained form of a pipeline, not the compiled one."
    )
    B616 = "--beta {beta}: expected a number above 0; 1 is F, 2 favours recall."
    B617 = "--lang {lang}: spaCy cannot make an empty pipeline of it. {error}"
    B618 = "{path} cannot be read or written: {error}."
    B619 = (
        "'{model}' has nothing to measure on '{task}': no head of that name, and none "
        "of the corpus's labels ({labels})."
    )
    B620 = "--{option} {value}: there is a '{name}' already."
    B621 = "--general names corpora to train beside those of --targets. Give both."
    B622 = (
        "--gpu-id {gpu}: {error}. A GPU needs CuPy for its version of CUDA "
        "(`pip install cupy-cuda12x`); -1 trains on the CPU."
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
    B710 = (
        "{path} names no corpora to learn from: expected [data.sources.NAME] with "
        "`path` and `task`, {problem}."
    )
    B711 = "There is no source '{name}' in {path}, only {known}."
    B712 = (
        "Source '{name}' has no mention of {labels}, only of {found}. Check `labels` "
        "and `spans_key`."
    )
    B713 = (
        "{path}:{line} is no chat of a prompt and an answer, as `llm-data` writes it."
    )
    B714 = (
        "No chat is left to learn from: {count} have more than {max_tokens} tokens. "
        "Raise --max-tokens, or lower max_chars in the task."
    )
    B715 = "This needs {module}: run `pip install '{package}'`."
    B716 = "The language model {name} cannot be loaded: {error}"
    B717 = (
        "{path} is the checkpoint of a run with other settings or data ({what}). Go on "
        "with those, begin anew with --restart, or name another folder."
    )
    B718 = (
        "A prompt of {prompt} tokens and an answer of {answer} are more than the "
        "{positions} positions of {name}. Lower max_chars in the task, or "
        "max_new_tokens."
    )
    B719 = (
        "An answer of {name} did not end within {limit} tokens. Raise max_new_tokens, "
        "lower max_chars in the task, or take such answers as they are: keep_cut. If a "
        "cache is set, what was answered is in it, and another run goes on from there."
    )
    B720 = "The tokenizer of {name} has no end-of-sequence token. Set its eos_token."
    B721 = "F1 is {score:.4f}, less than {wanted:.4f}."
    B722 = "The cache {path} cannot be written, and answers would be lost: {error}."
    B723 = (
        "The task of source '{name}' writes to the span group '{key}', which holds the "
        "mentions to measure against: they would be lost. Give the task another "
        "spans_key."
    )

    # 8xx: spans
    B801 = (
        "Component '{name}' found no span labels to learn. Its training documents "
        "need `doc.spans['{key}']`; or pass `labels` in [initialize.components.{name}]."
    )
    B802 = (
        "Component '{name}' was given no document with tokens to initialize from. "
        "Check the training corpus."
    )
    B803 = "A teacher needs a `nested_spancat`; this pipeline has {found}."
    B804 = "teacher_weight = {weight} in component '{name}': expected 0 to 1."
    B805 = (
        "Component '{name}' has teacher_weight = {weight}, but no training document "
        "has `doc.spans['{key}']`: write it with `spacy bioner teach`."
    )
    B807 = "Teachers need the same labels; one has {one}, another {other}."

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
    B908 = (
        "Component '{name}' has no knowledge base to link to. Give it one: "
        "`nlp.get_pipe('{name}').set_kb('kb.jsonl.gz')`, or set `kb` in "
        "[initialize.components.{name}]."
    )
    B909 = (
        "The knowledge base of component '{name}' has no entry with an identifier "
        "{wanted}, only {known}. Check `prefixes`."
    )
    B910 = (
        "`labels` of component '{name}' names the types {missing}, but the knowledge "
        "base has {known}."
    )
    B911 = "{setting} = {value} in component '{name}': expected {expected}."
    B912 = (
        "No linker wrote candidates to doc.spans['{key}'], only {known} are there. Run "
        "a `term_linker`, or name its `links_key`."
    )
    B913 = (
        "Component '{name}' looked up nothing: the spans here have the labels "
        "{labels}, the knowledge base the types {known}. "
        "Say in `labels` which belong together, for instance {{'{example}': {known}}}."
    )

    # Axx: instructions
    BA01 = (
        "The instruction '{template}' cannot be filled in: it must hold {{type}}, may "
        "hold {{corpus}} where there is one, and nothing else in braces."
    )
    BA02 = "{what} needs {modules}: run `pip install 'spacy-bioner[{extra}]'`."
    BA03 = (
        "Give InstructedTagger either the `name` of a backbone, or a `config` with its "
        "`model_type`, not both."
    )
    BA04 = "A backbone made from a `config` has no tokenizer: name one in `tokenizer`."
    BA05 = "save is '{save}'; choose one of {known}."
    BA06 = (
        "save = 'trained' leaves out the backbone's weights, but one made from a "
        "`config` is nowhere else. Use 'all'."
    )
    BA07 = "The backbone or tokenizer '{name}' cannot be loaded: {error}"
    BA08 = (
        "The tokenizer '{name}' cannot tell where its pieces stand in the text. Use "
        "one with a tokenizer.json (a 'fast' one)."
    )
    BA09 = "'{name}' is an encoder with a decoder; use an encoder or a decoder."
    BA10 = "causal is for decoders; '{name}' is an encoder. Leave it out."
    BA11 = "word_shapes is for encoders with BERT's token types; '{name}' has none."
    BA12 = (
        "The attention of '{name}' ({attention}) does not heed the mask it is given. "
        "Set `attn_implementation` in `loading` to 'sdpa' or 'eager', or use another "
        "backbone."
    )
    BA13 = (
        "The saved weights do not fit this model (for instance {wrong}). Its settings "
        "must be those it was trained with."
    )
    BA14 = (
        "The instruction '{instruction}' has {size} word pieces, which leaves too "
        "little of a window of {window} for the text (they overlap by {overlap}). "
        "Shorten it or enlarge the window."
    )
    BA15 = (
        "The instructed tagger holds no weights yet. Train it, or load a pipeline that "
        "was trained."
    )
    BA16 = (
        "Component '{name}' found no entity labels to learn. Its training documents "
        "need `doc.ents`; or name `types` in its settings."
    )
    BA17 = "{name} is {value}; it must be {expected}."
    BA18 = (
        "A window of {window} word pieces is longer than what '{name}' can read, "
        "{limit}. Make it shorter."
    )
    BA19 = (
        "'{name}' ({kind}) does not guess hidden words as a BERT does, and `pretrain` "
        "is for those that do. Train from it as it is."
    )
    BA20 = (
        "word_shapes are learnt in single precision, beside adapters too. Load "
        "'{name}' without `torch_dtype`, or set word_shapes = false."
    )
    BA21 = (
        "The tokenizer of '{name}' has no {marks}, which a `transformer` puts around a "
        "text. Take an encoder like BERT; `instruct_ner` takes decoders too."
    )
