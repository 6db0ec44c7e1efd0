"""What to cite, as BibTeX: only works that a run or its kept analyses rest on.

Entries were written by hand from the publications. A study's own citation is given as its study file has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A work: the key it is cited by, its kind in BibTeX, and its fields in order."""

    key: str
    kind: str
    fields: Mapping[str, str]

    def bibtex(self) -> str:
        """The entry, one field a line."""
        lines = [
            f"  {name:<9} = {{{value if name == 'doi' else _latin(value)}}}" for name, value in self.fields.items()
        ]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"

    def short(self) -> str:
        """``Holm (1979)``, ``Rao & Scott (1981)``, ``Pfister et al. (2018)``."""
        names = [name.split(",")[0].strip("{}") for name in self.fields.get("author", self.key).split(" and ")]
        several = len(names) > 2 or names[-1] == "others"
        who = f"{names[0]} et al." if several else " & ".join(names)
        return f"{who} ({self.fields.get('year', 'n.d.')})"


def _article(key: str, author: str, year: int, title: str, journal: str, where: str, doi: str = "") -> Reference:
    """An article; ``where`` is ``volume(number), pages``."""
    found = re.fullmatch(r"(\d+)(?:\((\w+)\))?, ([\w–]+(?: \d+)?)", where)
    if found is None:
        raise ValueError(where)
    volume, number, pages = found.groups()
    fields = {"author": author, "year": str(year), "title": title, "journal": journal, "volume": volume}
    fields |= {"number": number} if number else {}
    fields |= {"pages": pages.replace("–", "--")} | ({"doi": doi} if doi else {})
    return Reference(key=key, kind="article", fields=fields)


def _proceedings(key: str, author: str, year: int, title: str, book: str, pages: str = "", doi: str = "") -> Reference:
    fields = {"author": author, "year": str(year), "title": title, "booktitle": book}
    fields |= {"pages": pages.replace("–", "--")} if pages else {}
    return Reference(key=key, kind="inproceedings", fields=fields | ({"doi": doi} if doi else {}))


def _book(key: str, author: str, year: int, title: str, publisher: str, doi: str = "") -> Reference:
    fields = {"author": author, "year": str(year), "title": title, "publisher": publisher}
    return Reference(key=key, kind="book", fields=fields | ({"doi": doi} if doi else {}))


_ALL = (
    Reference(
        key="wortwein2023nme",
        kind="inproceedings",
        fields={
            "author": "Wörtwein, Torsten and Allen, Nicholas and Sheeber, Lisa B. and Auerbach, Randy P. and Cohn, "
            "Jeffrey F. and Morency, Louis-Philippe",
            "year": "2023",
            "title": "Neural mixed effects for nonlinear personalized predictions",
            "booktitle": "Proceedings of the 25th International Conference on Multimodal Interaction",
            "eprint": "2306.08149",
            "archiveprefix": "arXiv",
        },
    ),
    _article(
        "bates2015lme4",
        "Bates, Douglas and Mächler, Martin and Bolker, Ben and Walker, Steve",
        2015,
        "Fitting linear mixed-effects models using lme4",
        "Journal of Statistical Software",
        "67(1), 1–48",
        "10.18637/jss.v067.i01",
    ),
    _article(
        "simchoni2023lmmnn",
        "Simchoni, Giora and Rosset, Saharon",
        2023,
        "Integrating random effects in deep neural networks",
        "Journal of Machine Learning Research",
        "24(156), 1–57",
        "",
    ),
    _proceedings(
        "tschalzev2024gmenn",
        "Tschalzev, Andrej and Nitschke, Paul and Kirchdorfer, Lukas and Lüdtke, Stefan and Bartelt, Christian and "
        "Stuckenschmidt, Heiner",
        2024,
        "Enabling mixed effects neural networks for diverse, clustered data using Monte Carlo methods",
        "Proceedings of the Thirty-Third International Joint Conference on Artificial Intelligence",
    ),
    _proceedings(
        "feffer2018experts",
        "Feffer, Michael and Rudovic, Ognjen and Picard, Rosalind W.",
        2018,
        "A mixture of personalized experts for human affect estimation",
        "Machine Learning and Data Mining in Pattern Recognition",
    ),
    _proceedings(
        "lafferty2001crf",
        "Lafferty, John and McCallum, Andrew and Pereira, Fernando C. N.",
        2001,
        "Conditional random fields: {Probabilistic} models for segmenting and labeling sequence data",
        "Proceedings of the 18th International Conference on Machine Learning",
        "282–289",
    ),
    _proceedings(
        "kingma2015adam",
        "Kingma, Diederik P. and Ba, Jimmy",
        2015,
        "{Adam}: {A} method for stochastic optimization",
        "3rd International Conference on Learning Representations",
    ),
    _proceedings(
        "loshchilov2019decoupled",
        "Loshchilov, Ilya and Hutter, Frank",
        2019,
        "Decoupled weight decay regularization",
        "7th International Conference on Learning Representations",
    ),
    _proceedings("guo2016entity", "Guo, Cheng and Berkhahn, Felix", 2016, "Entity embeddings of categorical variables",
                 "arXiv preprint arXiv:1604.06737"),
    _article("miccibarreca2001preprocessing", "Micci-Barreca, Daniele", 2001,
             "A preprocessing scheme for high-cardinality categorical attributes in classification and prediction "
             "problems",
             "ACM SIGKDD Explorations Newsletter", "3(1), 27–32", "10.1145/507533.507538"),
    _article("nguyen2023armed", "Nguyen, Kevin P. and Treacher, Alex H. and Montillo, Albert A.", 2023,
             "Adversarially-regularized mixed effects deep learning ({ARMED}) models improve interpretability, "
             "performance, and generalization on clustered (non-iid) data",
             "IEEE Transactions on Pattern Analysis and Machine Intelligence", "45(7), 8081–8093",
             "10.1109/TPAMI.2023.3234291"),
    _proceedings("xiong2019menets", "Xiong, Yunyang and Kim, Hyunwoo J. and Singh, Vikas", 2019,
                 "Mixed effects neural networks ({MeNets}) with applications to gaze estimation",
                 "IEEE/CVF Conference on Computer Vision and Pattern Recognition", "7743–7752",
                 "10.1109/CVPR.2019.00793"),
    _article("tran2020deep", "Tran, Minh-Ngoc and Nguyen, Nghia and Nott, David and Kohn, Robert", 2020,
             "Bayesian deep net {GLM} and {GLMM}", "Journal of Computational and Graphical Statistics",
             "29(1), 97–113", "10.1080/10618600.2019.1637747"),
    _article("hochreiter1997long", "Hochreiter, Sepp and Schmidhuber, Jürgen", 1997, "Long short-term memory",
             "Neural Computation", "9(8), 1735–1780", "10.1162/neco.1997.9.8.1735"),
    _proceedings(
        "wilson2016stochastic",
        "Wilson, Andrew Gordon and Hu, Zhiting and Salakhutdinov, Ruslan and Xing, Eric P.",
        2016,
        "Stochastic variational deep kernel learning",
        "Advances in Neural Information Processing Systems",
    ),
    _proceedings(
        "gardner2018gpytorch",
        "Gardner, Jacob R. and Pleiss, Geoff and Bindel, David and Weinberger, Kilian Q. and Wilson, Andrew Gordon",
        2018,
        "{GPyTorch}: {Blackbox} matrix-matrix {Gaussian} process inference with {GPU} acceleration",
        "Advances in Neural Information Processing Systems",
    ),
    _article("laird1982random", "Laird, Nan M. and Ware, James H.", 1982, "Random-effects models for longitudinal data",
             "Biometrics", "38(4), 963–974", "10.2307/2529876"),
    _proceedings(
        "gretton2007kernel",
        "Gretton, Arthur and Fukumizu, Kenji and Teo, Choon Hui and Song, Le and Schölkopf, Bernhard and Smola, "
        "Alexander J.",
        2007,
        "A kernel statistical test of independence",
        "Advances in Neural Information Processing Systems 20",
        "585–592",
    ),
    _article("pfister2018kernel",
             "Pfister, Niklas and Bühlmann, Peter and Schölkopf, Bernhard and Peters, Jonas", 2018,
             "Kernel-based tests for joint independence",
             "Journal of the Royal Statistical Society: Series B (Statistical Methodology)", "80(1), 5–31",
             "10.1111/rssb.12235"),
    _article("winkler2015blocks",
             "Winkler, Anderson M. and Webster, Matthew A. and Vidaurre, Diego and Nichols, Thomas E. and Smith, "
             "Stephen M.", 2015, "Multi-level block permutation", "NeuroImage", "123, 253–268",
             "10.1016/j.neuroimage.2015.05.092"),
    _article("phipson2010permutation", "Phipson, Belinda and Smyth, Gordon K.", 2010,
             "Permutation {P}-values should never be zero: {Calculating} exact {P}-values when permutations are "
             "randomly drawn", "Statistical Applications in Genetics and Molecular Biology", "9(1), Article 39",
             "10.2202/1544-6115.1585"),
    _article("song2012feature",
             "Song, Le and Smola, Alex and Gretton, Arthur and Bedo, Justin and Borgwardt, Karsten", 2012,
             "Feature selection via dependence maximization", "Journal of Machine Learning Research",
             "13, 1393–1434"),
    _proceedings("kornblith2019similarity",
                 "Kornblith, Simon and Norouzi, Mohammad and Lee, Honglak and Hinton, Geoffrey", 2019,
                 "Similarity of neural network representations revisited",
                 "Proceedings of the 36th International Conference on Machine Learning", "3519–3529"),
    _book("davison1997bootstrap", "Davison, A. C. and Hinkley, D. V.", 1997, "Bootstrap methods and their application",
          "Cambridge University Press", "10.1017/CBO9780511802843"),
    _article("efron1987better", "Efron, Bradley", 1987, "Better bootstrap confidence intervals",
             "Journal of the American Statistical Association", "82(397), 171–185", "10.1080/01621459.1987.10478410"),
    _article("field2007clustered", "Field, C. A. and Welsh, A. H.", 2007, "Bootstrapping clustered data",
             "Journal of the Royal Statistical Society: Series B (Statistical Methodology)", "69(3), 369–390",
             "10.1111/j.1467-9868.2007.00593.x"),
    _book("westfall1993resampling", "Westfall, Peter H. and Young, S. Stanley", 1993,
          "Resampling-based multiple testing: {Examples} and methods for p-value adjustment", "Wiley"),
    _article("benjamini1995fdr", "Benjamini, Yoav and Hochberg, Yosef", 1995,
             "Controlling the false discovery rate: {A} practical and powerful approach to multiple testing",
             "Journal of the Royal Statistical Society: Series B (Methodological)", "57(1), 289–300",
             "10.1111/j.2517-6161.1995.tb02031.x"),
    _article("holm1979simple", "Holm, Sture", 1979, "A simple sequentially rejective multiple test procedure",
             "Scandinavian Journal of Statistics", "6(2), 65–70"),
    _article("rao1981analysis", "Rao, J. N. K. and Scott, A. J.", 1981,
             "The analysis of categorical data from complex sample surveys: {Chi}-squared tests for goodness of fit "
             "and independence in two-way tables", "Journal of the American Statistical Association",
             "76(374), 221–230", "10.1080/01621459.1981.10477633"),
    _article("rao1984chi", "Rao, J. N. K. and Scott, A. J.", 1984,
             "On chi-squared tests for multiway contingency tables with cell proportions estimated from survey data",
             "The Annals of Statistics", "12(1), 46–60", "10.1214/aos/1176346391"),
    _article("thomas1978interval", "Thomas, John D. and Hultquist, Robert A.", 1978,
             "Interval estimation for the unbalanced case of the one-way random effects model",
             "The Annals of Statistics", "6(3), 582–587", "10.1214/aos/1176344202"),
    _article("nakagawa2013r2", "Nakagawa, Shinichi and Schielzeth, Holger", 2013,
             "A general and simple method for obtaining {R}² from generalized linear mixed-effects models",
             "Methods in Ecology and Evolution", "4(2), 133–142", "10.1111/j.2041-210x.2012.00261.x"),
    _article("simonsohn2020specification", "Simonsohn, Uri and Simmons, Joseph P. and Nelson, Leif D.", 2020,
             "Specification curve analysis", "Nature Human Behaviour", "4(11), 1208–1214",
             "10.1038/s41562-020-0912-z"),
    _book("rubin1987multiple", "Rubin, Donald B.", 1987, "Multiple imputation for nonresponse in surveys", "Wiley",
          "10.1002/9780470316696"),
    _article("pustejovsky2018small", "Pustejovsky, James E. and Tipton, Elizabeth", 2018,
             "Small-sample methods for cluster-robust variance estimation and hypothesis testing in fixed effects "
             "models", "Journal of Business & Economic Statistics", "36(4), 672–683", "10.1080/07350015.2016.1247004"),
    _article("epskamp2018networks", "Epskamp, Sacha and Borsboom, Denny and Fried, Eiko I.", 2018,
             "Estimating psychological networks and their accuracy: {A} tutorial paper", "Behavior Research Methods",
             "50(1), 195–212", "10.3758/s13428-017-0862-1"),
    _article("shrout1979icc", "Shrout, Patrick E. and Fleiss, Joseph L.", 1979,
             "Intraclass correlations: {Uses} in assessing rater reliability", "Psychological Bulletin",
             "86(2), 420–428", "10.1037/0033-2909.86.2.420"),
    _article("hayes2007krippendorff", "Hayes, Andrew F. and Krippendorff, Klaus", 2007,
             "Answering the call for a standard reliability measure for coding data",
             "Communication Methods and Measures", "1(1), 77–89", "10.1080/19312450709336664"),
    _article("lin1989concordance", "Lin, Lawrence I-Kuei", 1989,
             "A concordance correlation coefficient to evaluate reproducibility", "Biometrics", "45(1), 255–268",
             "10.2307/2532051"),
    _proceedings("paszke2019pytorch", "Paszke, Adam and others", 2019,
                 "{PyTorch}: {An} imperative style, high-performance deep learning library",
                 "Advances in Neural Information Processing Systems 32", "8024–8035"),
    _article("harris2020numpy", "Harris, Charles R. and others", 2020, "Array programming with {NumPy}", "Nature",
             "585(7825), 357–362", "10.1038/s41586-020-2649-2"),
    _article("virtanen2020scipy", "Virtanen, Pauli and others", 2020,
             "{SciPy} 1.0: {Fundamental} algorithms for scientific computing in {Python}", "Nature Methods",
             "17(3), 261–272", "10.1038/s41592-019-0686-2"),
    _proceedings("mckinney2010pandas", "McKinney, Wes", 2010, "Data structures for statistical computing in {Python}",
                 "Proceedings of the 9th Python in Science Conference", "56–61", "10.25080/Majora-92bf1922-00a"),
)  # fmt: skip

WORKS = {work.key: work for work in _ALL}


def references(keys: Iterable[str]) -> list[Reference]:
    """The works of these keys, each once, in the order of their keys."""
    return [WORKS[key] for key in sorted(set(keys))]


def study_reference(citation: str, title: str, licence: str) -> Reference | None:
    """A study's own citation as an entry: author and year where it begins ``Name et al. (2019)``; None without one."""
    if not citation:
        return None
    found = re.match(r"\s*(?P<who>[^()]+?)\s*\((?P<year>\d{4})\)[;,.]?\s*(?P<rest>.*)$", citation)
    fields = {"title": f"{title} [Data set]"}
    key = "data"
    if found:
        who = found["who"].replace(" et al.", " and others").replace(" & ", " and ")
        fields = {"author": who, "year": found["year"], **fields}
        key = re.sub(r"\W", "", who.split(" and ")[0]).lower() + found["year"] + "data"
    rest = found["rest"] if found else citation
    note = ". ".join(part for part in (rest, f"Licence: {licence}" if licence else "") if part)
    return Reference(key=key, kind="misc", fields=fields | ({"note": note} if note else {}))


def bibtex(works: Iterable[Reference]) -> str:
    """All entries as the content of a .bib file."""
    return "\n\n".join(work.bibtex() for work in works) + "\n"


def _latin(value: str) -> str:
    """A field that BibTeX reads in any encoding that LaTeX does; what would be a command is escaped."""
    for plain, written in (("&", r"\&"), ("%", r"\%"), ("_", r"\_"), ("#", r"\#"), ("²", "$^2$")):
        value = value.replace(plain, written)
    return value
