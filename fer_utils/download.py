"""Download FER2013 from Kaggle into data/, and show what it holds: `make data`, or python -m fer_utils.download."""

import os
import shutil
import sys
from pathlib import Path

from fer_utils import data, readers
from fer_utils.readers import DataError

COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"
KAGGLE = [  # in order of preference: description, function of kagglehub, its arguments
    # tells PublicTest from PrivateTest, but needs a token and accepted rules
    ("The competition's icml_face_data.csv", "competition_download", COMPETITION, "icml_face_data.csv"),
    # needs no token, but is stored as JPG; both test sets are in test/, and the names of the files tell them apart
    ("The folders of msambare/fer2013", "dataset_download", "msambare/fer2013"),
]

BY_HAND = f"""FER2013 could not be downloaded. To do it by hand:
  1. In a browser, log in to Kaggle, accept the rules at https://www.kaggle.com/c/{COMPETITION}/data
     and download icml_face_data.csv or fer2013.tar.gz (the train.csv and test.csv of your course will do as well).
  2. Put the file, packed or not, into {data.DATA}
  3. Run `make data` again: it checks the file and shows what it contains.
For an automatic download, this machine must reach kaggle.com and have your token: create one at
https://www.kaggle.com/settings and set KAGGLE_API_TOKEN, or save it as ~/.kaggle/kaggle.json. Until then the kit uses
its drawn faces."""


def download() -> Path:
    """Download FER2013 from Kaggle into data/, unless something is there already.

    Returns:
        The path of the data.

    Raises:
        DataError: there is no network or no token, or the downloaded data are wrong.
    """
    if data.holds_files(data.DATA):
        print(f"{data.DATA} is not empty: nothing was downloaded.")
        return data.DATA
    fetched = fetch()
    readers.read(fetched)  # data that cannot be read are not copied
    target = data.DATA / ("fer2013" if fetched.is_dir() else fetched.name)
    partial = target.with_name(f".{target.name}.partial")
    data.DATA.mkdir(exist_ok=True)
    if fetched.is_dir():
        shutil.copytree(fetched, partial, dirs_exist_ok=True)
    else:
        shutil.copy2(fetched, partial)
    os.rename(partial, target)
    return target


def fetch() -> Path:
    """Download the best available form of FER2013 into kagglehub's own cache."""
    problems = []
    for what, function, *arguments in KAGGLE:
        try:
            import kagglehub  # here, because it takes half a second and may be missing

            return Path(getattr(kagglehub, function)(*arguments))
        except Exception as error:  # network, token, rules, disk: kagglehub raises many types
            reason = (str(error).splitlines() or [""])[0]
            problems.append(f"{what}: {type(error).__name__}: {reason[:100]}")
    raise DataError("\n".join([*problems, BY_HAND]))


def main() -> int:
    """Run the command line; return its exit status."""
    try:
        source = download()
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return data.main([str(source)])


if __name__ == "__main__":
    sys.exit(main())
