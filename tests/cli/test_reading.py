"""Files of all kinds."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from skae.cli.reading import read_table
from skae.cli.tables import TableEncoder

from .files import customers, pd, written


def test_a_european_csv(tmp_path):
    path = tmp_path / "a.csv"
    text = "name;größe;datum\n" + "".join(
        f"n{i % 3};1,{i:02d};{i + 1:02d}.12.2020\n" for i in range(20)
    )
    for encoding in ("utf-8-sig", "cp1252", "utf-16"):
        path.write_bytes(text.encode(encoding))
        table = read_table(str(path))
        assert list(table.frame) == ["name", "größe", "datum"]
        encoder = TableEncoder().fit(table.frame)
        kinds = [kind.kind for kind in encoder.columns_.values()]
        assert kinds == ["category", "number", "date"]
        rows = encoder.transform(table.frame)
        pd.testing.assert_frame_equal(
            encoder.inverse_transform(rows), table.frame, check_dtype=False
        )
        assert "numbers have decimal commas" in table.notes


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("a,a,b\n1,2,3\n4,5,6\n", ["a", "a.1", "b"], [1, 2, 3]),
        ("a\tb\n1\t2\n4\t5\n", ["a", "b"], [1, 2]),
        ("a;b\n1.001,5 %;x\n12,5 %;y\n", ["a", "b"], ["1001.5 %", "x"]),
        ("1,2.5\n3,4.5\n", ["x0", "x1"], [1, 2.5]),
        (
            "1,2,3,4,5,6,7,8\n3,1,2,1,1,1,1,1\n4,0,2,1,1,1,1,1\n",
            [*"12345678"],
            [3, 1, 2, 1, 1, 1, 1, 1],
        ),
        ("400,410,420\n3,1,2\n", ["x0", "x1", "x2"], [400, 410, 420]),
        ("a,b,\n1,2,\n3,4,\n", ["a", "b", "Unnamed: 2"], [1, 2, np.nan]),
        ("a,b\n1,2,\n3,4,\n", ["a", "b"], [1, 2]),
        ("a,b\nr1,1,2\nr2,3,4\n", ["a", "b"], [1, 2]),
        ('a|b\n1|"x, y"\n2|z\n', ["a", "b"], [1, "x, y"]),
        ("a, b\n1, ?\n,\n2, 3\n", ["a", "b"], [1, np.nan]),
        ("[mV],{s}\n1,2\n3,4\n", ["[mV]", "{s}"], [1, 2]),
        ("a,b\nDoe; J0,1\nRoe; J1,2\n", ["a", "b"], ["Doe; J0", 1]),
        ("a,b\nr1; x,1,2\nr2; y,3,4\n", ["a", "b"], [1, 2]),
        ("0.5,,1.5\n1,2.5,?\n", ["x0", "x1", "x2"], [0.5, np.nan, 1.5]),
        (",0,1\na,2,3\nb,4,5\n", ["Unnamed: 0", "0", "1"], ["a", 2, 3]),
    ],
    ids=[
        "duplicate names",
        "tabs",
        "per cent with decimal commas",
        "no header",
        "wavelengths",
        "numbers that rise by chance",
        "a separator too many",
        "separators too many in rows",
        "row names",
        "bars",
        "empty rows",
        "brackets",
        "another separator in cells",
        "another separator in row names",
        "no header, missing values",
        "numbers for names",
    ],
)
def test_odd_texts(tmp_path, text, names, first):
    path = tmp_path / "odd.txt"
    path.write_text(text)
    frame = read_table(str(path)).frame
    assert list(frame) == names
    assert len(frame) == 2
    pd.testing.assert_series_equal(
        frame.iloc[0], pd.Series(first), check_index=False, check_names=False,
        check_dtype=False, check_index_type=False,
    )  # fmt: skip


def test_arrays_and_archives(tmp_path):
    X, y = np.arange(24.0).reshape(4, 3, 2), np.array([0, 1, 0, 1])
    np.save(tmp_path / "X.npy", X)
    table = read_table(str(tmp_path / "X.npy"))
    assert table.frame.shape == (4, 6)
    assert table.image_shape == (3, 2)
    np.savez(tmp_path / "Xy.npz", X=X.astype(np.uint8), y=y)
    table = read_table(str(tmp_path / "Xy.npz"))
    assert (table.target, table.has_one_unit) == ("y", True)
    np.savez(tmp_path / "other.npz", a=X, b=y)
    with pytest.raises(ValueError, match="called 'X'"):
        read_table(str(tmp_path / "other.npz"))
    np.savez(tmp_path / "column.npz", X=X, y=y[:, None])
    assert read_table(str(tmp_path / "column.npz")).frame["y"].tolist() == [0, 1, 0, 1]
    np.savez(tmp_path / "short.npz", X=X, y=y[:3])
    with pytest.raises(
        ValueError, match=r"'y' have shape \(3,\), but there are 4 rows"
    ):
        read_table(str(tmp_path / "short.npz"))


def test_what_an_archive_holds_beside_rows_and_labels_is_said(tmp_path):
    X, y, path = np.eye(4), np.array([0, 1, 0, 1]), tmp_path / "Xy.npz"
    np.savez(path, X=X, classes=y)
    note = "left out, neither the rows (X) nor their labels (y): classes"
    assert read_table(str(path)).notes == [note]
    np.savez(path, X_train=X, y_train=y, X_test=X)
    note = "left out, neither the rows (X_train) nor their labels (y_train): X_test"
    assert read_table(str(path)).notes == [note]
    np.savez(path, X=X, y=y.astype(str).astype(object))
    with pytest.raises(ValueError, match=r"'y' holds Python objects.* text \(astype"):
        read_table(str(path))


@pytest.mark.parametrize("format", ["csr", "csc", "bsr", "dia", "coo"])
def test_sparse_matrices_of_every_format(tmp_path, format):
    X = np.diag([1.0, 2.0, 3.0], k=1)
    sp.save_npz(tmp_path / "X.npz", sp.coo_array(X).asformat(format))
    np.testing.assert_array_equal(read_table(str(tmp_path / "X.npz")).frame, X)


def test_packed_text(tmp_path):
    customers().to_csv(tmp_path / "a.csv.gz", index=False)
    assert read_table(str(tmp_path / "a.csv.gz")).frame.shape == (80, 9)


def test_names_that_differ_by_blanks_are_told_apart(tmp_path):
    path = tmp_path / "ages.csv"
    path.write_text("age ,age,visits\n1,2,3\n2,3,5\n3,5,4\n")
    table = read_table(str(path))
    assert [*table.frame.columns] == ["age", "age.1", "visits"]
    assert any("'age', 'age.1'" in note for note in table.notes)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no paths here")
def test_a_pipe_is_read_once_and_named_as_it_was_given():
    for text in (b"a,b\n1,2\n3,4\n", b""):
        reader, writer = os.pipe()
        os.write(writer, text)
        os.close(writer)
        if text:
            assert len(read_table(f"/dev/fd/{reader}").frame) == 2
        else:
            with pytest.raises(ValueError, match=f"'/dev/fd/{reader}' is empty"):
                read_table(f"/dev/fd/{reader}")
        os.close(reader)


def test_a_first_row_of_numbers_that_is_taken_for_names_is_said(tmp_path):
    path = written(tmp_path, "years.csv", ",2019,2020\na,2,3\nb,4,5\n")
    note = "the first row is taken for names, not for numbers: 2019, 2020"
    assert note in read_table(str(path)).notes


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("a;b;c\n950;1,5;01.02.2021\n1.100;2,5;02.02.2021\n", "points"),
        ("a;b;c\n950;1.5;01.02.2021\n1,100;2.5;02.02.2021\n", "commas"),
        ('a,b,c\n950,1.5,01.02.2021\n"1,100.0",2.5,02.02.2021\n', "commas"),
        ('a,b,c\n950,"1.5",01.02.2021\n"1,100",2.5,02.02.2021\n', "commas"),
    ],
)
def test_marks_between_thousands_are_taken_out(tmp_path, text, mark):
    table = read_table(str(written(tmp_path, "a.csv", text)))
    assert table.frame["a"].map(float).tolist() == [950, 1100]
    assert table.frame["b"].map(float).tolist() == [1.5, 2.5]
    assert table.frame["c"][0] == "01.02.2021"
    assert f"thousands are parted by {mark}: a" in table.notes


@pytest.mark.parametrize(
    ("text", "other", "own"),
    [
        ('a,b,c,d\n"0,13",1.2,"x, y",1\n"2",1.3,z,"1,100"\n', "commas", "points"),
        ("a;b;c;d\n0.13;1,2;x.y;1\n2;1,3;z;1.100\n", "points", "commas"),
    ],
)
def test_numbers_with_the_other_decimal_mark_are_said(tmp_path, text, other, own):
    """Else they would become a category without a word; d has marks of thousands."""
    table = read_table(str(written(tmp_path, "a.csv", text)))
    assert table.frame["b"].tolist() == [1.2, 1.3]
    note = (
        f"numbers with decimal {other}, in a file with decimal {own}, are left as text"
    )
    assert f"{note}: a" in table.notes


RISING = ";".join(map(str, range(400, 900, 50)))

ODD_FORMS = {
    "three decimals, and one cell of another kind": (
        "a;b\n" + "".join(f"{i}.103;ok\n" for i in range(50, 80)) + "51.100;1,5\n",
        [50.103, "ok"],
    ),
    "few marks beside many times": (
        "a;b;c\n" + "".join(f"{i % 2},5;2,0;{i}.{i}1\n" for i in range(9)),
        [0.5, 2.0, "0.01"],
    ),
    "a comma among names, and a row cut short": (
        "a, b\tc\td\n" + "1\t2\tx\n" * 20 + "1\t2\n",
        [1, 2, "x"],
    ),
    "wavelengths, a separator too many": (
        f"{RISING};\n" + (";".join("3214567891") + ";\n") * 3,
        [3, 2, 1, 4, 5, 6, 7, 8, 9, 1, np.nan],
    ),
    "numbers for names, after a word": ("NA,1,2\nr,3,4\ns,5,6\n", ["r", 3, 4]),
    "codes, and no header": ("0012|0.5\n12|-0.3\n", ["0012", 0.5]),
    "addresses": ("a\tb\n192.168.103.203\t1\n", ["192.168.103.203", 1]),
    "three decimals between semicolons": ("a;b\n1.500;2.5\n3.250;4.125\n", [1.5, 2.5]),
    "decimal commas in quotes": ('a,b\n"1,5",2\n"-0,25",3\n', [1.5, 2]),
    "versions": ("a;b\n1.100.201;0,5\n2.100.300;1,5\n", ["1.100.201", 0.5]),
}


@pytest.mark.parametrize(("text", "first"), ODD_FORMS.values(), ids=ODD_FORMS)
def test_forms_that_are_easily_mistaken(tmp_path, text, first):
    frame = read_table(str(written(tmp_path, "odd.csv", text))).frame
    found = frame.iloc[0].tolist()
    assert len(found) == len(first)
    for value, wanted in zip(found, first, strict=True):
        np.testing.assert_equal(value, wanted)


@pytest.mark.parametrize(
    "text",
    [
        "code,a,day,b\n0012,0.5,01/02/2021,0\n12,-0.3,03/02/2021,7\n",
        "code,a,day,b,\n 0012 ,0.5,01/02/2021,0,\n12,-0.3,03/02/2021,7,\n",
        "code,a,day,b\n0012,0.5,01/02/2021,0,\n12,-0.3,03/02/2021,7,\n",
        "code,a,day,b\n007,0012,0.5,01/02/2021,0\n008,12,-0.3,03/02/2021,7\n",
        "code;a;day;b\n0012;0,5;01/02/2021;0\n12;-0,3;03/02/2021;7\n",
    ],
    ids=["commas", "empty column", "trailing", "row labels", "decimal commas"],
)
def test_codes_with_zeros_before_them_stay_text(tmp_path, text):
    frame = read_table(str(written(tmp_path, "codes.csv", text))).frame
    code, a, day, b = (frame.iloc[:, at].tolist() for at in range(4))
    assert [each.strip() for each in code] == ["0012", "12"]
    assert (a, b) == ([0.5, -0.3], [0, 7])
    assert day == ["01/02/2021", "03/02/2021"]


LATE = 2000 * "77,78,0,0.5\n"


@pytest.mark.parametrize(
    "text",
    [
        f"code,phone,a,b\n{LATE}0012,0493,7,1.5\n",
        f'code,phone,a,b\n{LATE}"0012","0493",7,1.5\n',
        f"code,phone,a,b\n{LATE} 0012 , 0493 ,7,1.5",
        f"code,phone,a,b\n{LATE}," + f"0493,7,1.5\n0012,78,7,{'1' * 80}\n",
        LATE + "0012,0493,7,1.5\n",
        "code,phone,a,b\n" + LATE.replace("77", "r,77") + "r,0012,0493,7,1.5\n",
        "code;phone;a;b\n" + LATE.replace(",", ";") + "0012;0493;7;1.5\n",
    ],
    ids=["plain", "quotes", "blanks", "missing", "no header", "labels", "semicolons"],
)
@pytest.mark.parametrize("block", [1, 2**20])
def test_codes_that_come_late_stay_text(tmp_path, monkeypatch, text, block):
    monkeypatch.setattr("skae.cli.texts.BLOCK", block)
    frame = read_table(str(written(tmp_path, "codes.csv", text))).frame
    code, phone, a, b = (frame.iloc[:, at] for at in range(4))
    assert {*code.dropna().str.strip()} == {"77", "0012"}
    assert {*phone.str.strip()} == {"78", "0493"}
    assert a.max() == 7
    assert b.max() >= 1.5


def test_numbers_with_decimal_marks_that_come_late(tmp_path):
    text = "a;b\n" + 1100 * "k.A.;2,5\n" + 30_000 * "1.234,5;2,5\n"
    frame = read_table(str(written(tmp_path, "late.csv", text))).frame
    assert frame["a"].iloc[-1] == "1234.5"


def test_a_row_counts_the_same_whatever_is_beside_it(tmp_path):
    rows = "1;TRUE;01;2.100\n2;false;A1;1,5\nA;False;02;1\nA;TRUE;02;1\n?;true;02;2\n"
    table = read_table(str(written(tmp_path, "all.csv", "a;b;c;d\n" + rows))).frame
    encoder = TableEncoder().fit(table)
    kinds = {name: kind.kind for name, kind in encoder.columns_.items()}
    assert [*kinds.values()] == ["category", "category", "category", "number"]
    few = written(tmp_path, "few.csv", "a;b;c;d\n1;TRUE;01;2.100\n?;yes;02;1,5\n;;;\n")
    few = read_table(str(few), kinds).frame
    assert len(few) == 3
    with pytest.warns(UserWarning, match="'b': 1 value was not seen in fitting"):
        rows = encoder.transform(few)
    np.testing.assert_array_equal(rows[0], encoder.transform(table)[0])
