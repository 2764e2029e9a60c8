"""Tables as matrices, and back."""

import numpy as np
import pytest

from skae.cli.tables import TableEncoder, read_target

from .files import customers, pd


def table_of(**columns):
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 5], "number"),
        (["1", "2.5", "3"], "number"),
        (["0", "-0.3", "0.5"], "number"),
        (["a", "b", "a"], "category"),
        (["0012", "1200", "0012"], "category"),
        (["00", "01", None], "category"),
        ([True, False, True], "category"),
        ([True, None, False], "category"),
        (["2020-01-01", "2020-05-01", None], "date"),
        (["2020-01-01 10:30", "2020-05-01 11:00", None], "date"),
        (["12/31/2020", "01/02/2021", "03/04/2021"], "date"),
        (["Jan 05, 2020", "Feb 07, 2021", "Mar 01, 2021"], "date"),
        (pd.to_datetime(["2020-01-01", "2021-01-01", None]), "date"),
        (
            pd.to_datetime(["2020-01-01", "2020-07-01"]).tz_localize("Asia/Tokyo"),
            "date",
        ),
        (pd.to_datetime(["2020-01-01T09:30+02:00", "2020-07-01T09:30+02:00"]), "date"),
        (["2020-01-01T09:30:00+02:00", "2020-07-01T09:30:00+02:00", None], "date"),
        (["2020-01-01T09:30:00Z", "2020-07-01T09:30:00Z"], "date"),
        (pd.to_timedelta([1, 2, 4], unit="h"), "number"),
        (pd.array([1, None, 3], dtype="Int64"), "number"),
        (pd.Categorical(["u", "v", "u"]), "category"),
        ([20010307, 20020712, 20020712], "date"),
        (pd.array([20010307, 20020712, None], dtype="Int64"), "date"),
        ([20010307, 20020732, 20020712], "number"),
        ([None, None, None], "constant"),
        ([3, 3, 3], "constant"),
        ([2**53 + 1] * 3, "constant"),
        (["x", "x", "x"], "constant"),
        ([10**17, 10**17 + 64, 3], "number"),
        ([0.5, 0.25, 1e-9], "number"),
    ],
)
def test_kinds_of_columns_and_back(values, kind):
    table = table_of(a=values)
    encoder = TableEncoder().fit(table)
    assert encoder.columns_["a"].kind == kind
    rows = encoder.transform(table)
    assert np.isfinite(rows).all()
    back = encoder.inverse_transform(rows).reindex(columns=["a"])["a"]
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    if kind == "number" and table["a"].dtype.kind != "m":
        there = np.isfinite(numbers.to_numpy(dtype=float, na_value=np.nan))
        expected = numbers[there].to_numpy(dtype=float)
        found = back[there].to_numpy(float)
        np.testing.assert_allclose(found, expected, atol=1e-15 * np.abs(expected).max())
    elif kind != "number":
        there = table["a"].notna()
        assert [*map(str, back[there])] == [*map(str, table["a"][there])]


NUMBERS = [float(i) for i in range(41)]
DAYS = [str(np.datetime64("2020-01-01") + i) for i in range(41)]


@pytest.mark.parametrize(
    ("odd", "usual", "what"),
    [
        ("n.n.", NUMBERS, "finite number"),
        (np.inf, NUMBERS, "finite number"),
        ("soon", DAYS, "date written as 2020-01-01"),
    ],
)
def test_a_few_values_of_another_kind_are_said_and_filled(odd, usual, what):
    table = table_of(a=[odd, *usual])
    said = f"1 value is no {what}, and counts as missing"
    with pytest.warns(UserWarning, match=said):
        rows = TableEncoder(standardize=False).fit_transform(table)
    assert rows[0] == np.median(rows[1:]) == 20
    said = f"2 values are no {what}, and count as missing"
    with pytest.warns(UserWarning, match=said):
        TableEncoder().fit_transform(table_of(a=[odd, odd, *usual]))


def test_what_is_said_of_a_table_points_to_the_line_that_asked():
    plans = ["S", "M", "L"] * 13 + ["S", "M"]
    encoder = TableEncoder().fit(table_of(number=NUMBERS, plan=plans, day=DAYS))
    others = ["n.n.", *NUMBERS[1:]], ["XL", *plans[1:]], ["15/02/2020", *[None] * 40]
    with pytest.warns(UserWarning, match="column") as said:
        encoder.transform(table_of(**dict(zip(encoder.columns_, others, strict=True))))
    assert len(said) == 3
    assert {each.filename for each in said} == {__file__}


def test_what_is_beyond_the_range_is_no_pile_at_its_end():
    """At the floor of rain there is one; dates are folded back, if by one range."""
    encoder = TableEncoder(standardize=False)
    encoder.fit(table_of(day=DAYS, rain=np.maximum(np.arange(-20.0, 21.0), 0)))
    back = encoder.inverse_transform([[-3, -3], [43, 23], [99, 99]])
    assert back["day"].tolist() == [DAYS[3], DAYS[37], DAYS[40]]
    assert back["rain"].tolist() == [0, 17, 20]


@pytest.mark.parametrize("texts", [["73%", "8%", None], ["7.25 %", "0.50 %", "1.00 %"]])
def test_per_cent_is_a_number(texts):
    table = table_of(a=texts)
    encoder = TableEncoder(standardize=False).fit(table)
    rows = encoder.transform(table)
    assert rows[:2].ravel().tolist() == [float(text.strip(" %")) for text in texts[:2]]
    assert encoder.inverse_transform(rows)["a"].tolist()[:2] == texts[:2]
    assert encoder.describe()[0] == "1 number: a (%)"


def test_dates_in_another_spelling_are_read_where_it_is_plain():
    """15/02/2003 can be in February alone; 04/07/2002 may be in April or in July."""
    encoder = TableEncoder(standardize=False).fit(table_of(a=DAYS))
    with pytest.warns(UserWarning, match="'01/02/2020' is read as 2020-02-01"):
        rows = encoder.transform(table_of(a=["01/02/2020", None, "15/02/2020"]))
    assert rows.ravel().tolist() == [31, 20, 45]
    rows = encoder.transform(table_of(a=[20200203, None]))
    assert rows.ravel().tolist() == [33, 20]
    said = "no date written as 2020-01-01, .* first value is '04/07/2002'"
    with pytest.raises(ValueError, match=said):
        encoder.transform(table_of(a=["04/07/2002", "05/06/2002"]))


def test_what_says_nothing_is_left_out():
    words = np.random.default_rng(0).permutation(90)
    encoder = TableEncoder().fit(
        table_of(
            name=[f"n{i}" for i in range(90)],
            text=[f"t{min(i, 80)}" for i in words],
            phone=[f"0{4935 + i}" for i in words],
            zip=[f"{9960 + min(i, 80):05}" for i in words],
            CUSTOMER_ID=words,
            Id=words,
            index=words,
            lists=[[i] for i in words],
            x=words % 7,
        ).rename(columns={"x": "humid", "index": "Unnamed: 0"})
    )
    assert list(encoder.columns_) == ["humid"]
    texts = {"name", "text", "phone", "zip"}
    assert set(encoder.left_out_) == texts | {
        "CUSTOMER_ID",
        "Id",
        "Unnamed: 0",
        "lists",
    }


@pytest.mark.parametrize(
    ("form", "sign"),
    [("${:,.2f}", "$"), ("{:.1f} kg", "kg"), ("EUR {:.2f}", "EUR"), ("{:.1f}°C", "°C")],
)
def test_numbers_with_a_sign_are_left_out_with_the_remedy(form, sign):
    numbers = np.random.default_rng(0).normal(2000, 500, 60)
    all_differ = [form.format(each) for each in numbers]
    for texts in (all_differ, [*all_differ, *all_differ[:20], None]):
        encoder = TableEncoder().fit(table_of(a=texts, b=np.arange(len(texts)) % 7))
        reason = f"numbers with a sign or unit ({sign}): write them without it"
        assert encoder.left_out_ == {"a": reason}


@pytest.mark.parametrize(
    "mark", [" ", "\N{NO-BREAK SPACE}", "\N{THIN SPACE}", "\N{FIGURE SPACE}", "'"]
)
def test_digits_in_groups_are_left_out_with_the_remedy(mark):
    texts = [f"{number:,}".replace(",", mark) for number in range(100, 60_000, 700)]
    encoder = TableEncoder().fit(table_of(a=texts, b=np.arange(len(texts)) % 7))
    reason = "digits in groups: write them together, if they are numbers"
    assert encoder.left_out_ == {"a": reason}


def test_digits_with_zeros_before_them_are_left_out_with_the_remedy():
    texts = [f"{number:03d}" for number in range(60)]
    encoder = TableEncoder().fit(table_of(a=texts, b=np.arange(60) % 7))
    assert encoder.left_out_["a"].startswith("digits with a zero before them: write")


@pytest.mark.parametrize(
    "form", ["n{}", "user{}@example.org", "{}@example.org", "{}.txt", "{:05}A"]
)
def test_names_with_a_number_have_no_unit(form):
    encoder = TableEncoder().fit(table_of(a=[form.format(i) for i in range(60)]))
    assert encoder.left_out_ == {"a": "an identifier: every value differs"}


def test_rare_values_are_one_category():
    values = [f"v{i}" for i in range(30) for _ in range(30 - i)]
    encoder = TableEncoder(max_categories=5).fit(table_of(a=values, b=range(465)))
    assert encoder.columns_["a"].levels == ["v0", "v1", "v2", "v3", "other"]
    new = table_of(a=["v2", "v29", "unheard"], b=[0, 1, 2])
    back = encoder.inverse_transform(encoder.transform(new))
    assert back["a"].tolist() == ["v2", "other", "other"]


def test_standardised_means_mean_zero_and_variance_one():
    table = table_of(a=[1.0, 5.0, None, 9.0], b=["x", "y", "x", "x"])
    rows = TableEncoder().fit_transform(table)
    np.testing.assert_allclose(rows[:, 0].mean(), 0, atol=1e-15)
    np.testing.assert_allclose(rows[:, 0].std(), 1)
    assert set(rows[:, 1]) == {0, 1}


def test_targets_are_classes_or_numbers():
    assert read_target(pd.Series([0, 1, 2] * 5))[1]
    assert not read_target(pd.Series(range(30)))[1]
    assert not read_target(pd.Series(["2020-01-01", "2020-01-09"]))[1]
    classes, is_class = read_target(pd.Series(["01", "02", "10"] * 5))
    assert is_class
    assert set(classes) == {"01", "02", "10"}
    with pytest.raises(ValueError, match="constant"):
        read_target(pd.Series([1, 1]))
    with pytest.raises(ValueError, match="every value differs"):
        read_target(pd.Series([f"n{i}" for i in range(9)]))


def test_rows_without_a_target_are_left_out(run, tmp_path):
    table = customers()
    table.loc[:9, "churned"] = None
    table.to_csv(tmp_path / "a.csv", index=False)
    arguments = ["--target", "churned", "--methods", "pca", "--cv", 2]
    code, _, err = run("compare", tmp_path / "a.csv", *arguments)
    assert code == 0
    assert "left out, without a target: 10 rows" in err


@pytest.mark.parametrize("unit", [1e200, 1e-200, 1e307])
def test_numbers_of_any_magnitude_are_standardised(unit):
    numbers = np.array([1.0, 5.0, 2.0, 9.0])
    table = table_of(a=numbers * unit)
    encoder = TableEncoder().fit(table)
    rows = encoder.transform(table)
    expected = (numbers - numbers.mean()) / numbers.std()
    np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-12)
    back = encoder.inverse_transform(rows)["a"]
    np.testing.assert_allclose(back, table["a"], rtol=1e-12)


def test_numbers_whose_squares_overflow_are_refused_by_name():
    with pytest.raises(ValueError, match=r"column 'a' .* to 1e\+200\); .*--drop"):
        TableEncoder(standardize=False).fit(table_of(a=[1.0, 1e200]))
