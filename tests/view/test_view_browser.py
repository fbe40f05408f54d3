"""The pages in a real browser: keys, clicks, media, a hostile response; the pictures of the guide are taken here.

``ASSAY_DOCS_IMAGES=docs/images`` writes the pictures there.
"""

import os
import shutil
from pathlib import Path

import pytest
from view_site import annotation_in, create_annotator, create_view, on_a_port, viewed_in

from assay.view.tasks import rating, steps

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright to drive a browser")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gallery")


@pytest.fixture(scope="module")
def view_address(folder):
    with on_a_port(create_view(viewed_in(folder))) as address:
        yield address


@pytest.fixture
def open_page(browser):
    """Opens a page that fails the test where a script fails or anything outside is asked for."""
    contexts, wrong = [], []

    def opened(address, path="/", **options):
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(address) else wrong.append(request.url))
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def until(page, expression):
    """Waits until an expression holds; the pages' own rules forbid the driver to evaluate it inside them."""
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def picture(page, name):
    if folder := os.environ.get("ASSAY_DOCS_IMAGES"):
        bottom = page.evaluate("document.getElementById('main').getBoundingClientRect().bottom")
        box = {"x": 0, "y": 0, "width": 1280, "height": min(bottom, 800)}
        page.screenshot(path=Path(folder) / name, clip=box)


def focused(page):
    return page.evaluate("document.activeElement.textContent.trim().replace(/\\s+/g, ' ')")


def test_keys_move_open_and_filter(view_address, open_page):
    page = open_page(view_address)
    page.keyboard.press("j")
    first = focused(page)
    page.keyboard.press("ArrowDown")
    second = focused(page)
    page.keyboard.press("k")
    assert focused(page) == first != second
    page.keyboard.press("Enter")
    page.wait_for_url("**/row?*")
    assert "row 1 of 25" in page.inner_text("header.top")
    page.keyboard.press("j")
    page.wait_for_url("**at=1")
    page.keyboard.press("u")
    page.wait_for_selector("#keep")
    page.keyboard.press("/")
    page.keyboard.type("value > 1 and status == ok")
    page.keyboard.press("Enter")
    page.wait_for_url("**keep=*")
    assert page.locator("tbody tr").count() == 3
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


def test_a_click_on_a_head_sorts_and_says_so(view_address, open_page):
    page = open_page(view_address)
    page.click("th >> text=std")
    page.wait_for_url("**sort=-std")
    assert page.get_attribute("th:has-text('std')", "aria-sort") == "descending"
    page.click("th >> text=std")
    page.wait_for_url("**sort=std")
    cells = [cell for cell in page.locator("tbody td:nth-child(2)").all_inner_texts() if cell != "\u2013"]
    assert [float(cell) for cell in cells] == sorted(float(cell) for cell in cells)
    picture(page, "view-list.png")


def test_pictures_video_and_sound_play_beside_the_scores(view_address, open_page):
    page = open_page(view_address, "/at/5?sort=-value")
    until(page, "[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    assert "row 6 of 25" in page.inner_text("header.top")
    assert page.inner_text("article.chosen .score").startswith("0.64")
    assert page.locator("article.candidate").count() == 3
    picture(page, "view.png")
    page.goto(view_address + "/row?record=films")
    until(page, "[...document.querySelectorAll('video')].every(each => each.readyState >= 1)")
    assert page.evaluate("[...document.querySelectorAll('video')].map(each => each.duration)") == [2.0, 2.0]
    page.goto(view_address + "/row?record=sounds")
    until(page, "[...document.querySelectorAll('audio')].every(each => each.readyState >= 1)")
    assert page.evaluate("document.querySelector('audio').duration") == pytest.approx(0.5, abs=0.01)
    page.goto(view_address + "/row?record=frames%2Fone+%26+two")
    until(page, "document.images.length == 6 && [...document.images].every(each => each.complete)")


def test_steps_are_shaded_by_their_scores(view_address, open_page):
    page = open_page(view_address, "/row?record=steps&response=0")
    shades = page.locator("#response-0 .step").evaluate_all(
        "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    assert len({shade for shade in shades if shade != "rgba(0, 0, 0, 0)"}) == 4
    assert page.locator("#response-0 .mark").all_inner_texts()[0].endswith("0.95")
    picture(page, "view-steps.png")


def test_a_hostile_response_stays_text(view_address, open_page):
    page = open_page(view_address, "/row?record=hostile")
    assert page.title() == "hostile \u00b7 scores.parquet"
    assert page.locator("article script, article img, blockquote script").count() == 0
    assert "<script>document.title = 'taken'</script>" in page.inner_text("main")


def test_no_inline_script_or_style_is_run(view_address, open_page):
    page = open_page(view_address)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 2'}))")
    page.wait_for_timeout(100)
    assert page.title() == "scores.parquet"


def test_reading_needs_no_script(view_address, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(view_address)
    page.click("text=worst errors")
    page.click("tbody tr:first-child a.open")
    assert "above a response that people prefer" in page.inner_text("main")
    page.click("a[rel=next]")
    page.click("text=List")
    page.fill("#keep", "status == timeout")
    page.click("text=Filter")
    assert page.locator("tbody tr").count() == 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(view_address, open_page, scheme):
    for path in ("/?sort=-value", "/row?record=steps&response=0", "/row?record=shapes-0&response=0"):
        page = open_page(view_address, path, color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const found = parse(getComputedStyle(node).backgroundColor);
      if (found.length == 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, node = text.parentElement;
    if (!text.data.trim() || !node.offsetParent || node.closest('.sr, .skip, .off, :disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) wrong.push(`${text.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return wrong;
}"""


def enter(page, name):
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer, [role=status]")


def test_judging_by_keys_with_undo(folder, open_page):
    annotation = annotation_in(folder)
    with on_a_port(create_annotator(annotation)) as address:
        page = open_page(address)
        enter(page, "Ann")
        until(page, "[...document.images].every(each => each.complete)")
        picture(page, "annotate.png")
        first = page.input_value("input[name=shown]")
        for key in ("1", "ArrowRight", "t", "s"):
            with page.expect_navigation():
                page.keyboard.press(key)
        assert annotation.judgements.counts() == {"Ann": 4}
        assert "4 of 20" in page.inner_text(".meter")
        kinds = [sorted(answer) for _, _, answer in annotation.judgements.answers()]
        assert kinds == [["better"], ["better"], ["tie"]]
        for _ in range(4):
            with page.expect_navigation():
                page.keyboard.press("z")
        assert page.input_value("input[name=shown]") == first
        assert annotation.judgements.counts() == {}
    annotation.judgements.close()
    (folder / "rated.judgements").unlink()


def test_two_raters_agree_live(folder, open_page):
    annotation = annotation_in(folder)
    with on_a_port(create_annotator(annotation)) as address:
        for name in ("Ann", "Bob"):
            page = open_page(address)
            enter(page, name)
            for count in range(6):
                shown = annotation.judgements.shown(int(page.input_value("input[name=shown]")))
                pick = max if count % 2 or (name, count) == ("Bob", 4) else min
                with page.expect_navigation():
                    page.click(f"button[name=verdict][value='{shown.sides.index(pick(shown.sides))}']")
        page.click("text=Bob >> xpath=.. >> button")
        page.wait_for_selector("#name")
        page.goto(address + "/progress")
        assert "Ann\t6\t30 %" in page.inner_text("table")
        (agreed,) = annotation.agreed()
        assert 0 < agreed.alpha < 1
        assert f"{agreed.alpha:.3g}" in page.inner_text("header.top")
        picture(page, "annotate-progress.png")
        with page.expect_download() as found:
            page.click("text=Download")
        assert found.value.suggested_filename == "judged.jsonl"
    annotation.judgements.close()
    (folder / "rated.judgements").unlink()


@pytest.mark.parametrize(
    ("task", "picks", "answer"),
    [
        (rating(["helpful", "true"]), ["rate-0-0=4", "rate-1-0=2"], "ratings"),
        (steps(), ["step-0=wrong"], "labels"),
    ],
    ids=["rating", "steps"],
)
def test_forms_with_many_fields(folder, open_page, task, picks, answer):
    annotation = annotation_in(folder, task, scores=False)
    with on_a_port(create_annotator(annotation)) as address:
        page = open_page(address)
        enter(page, "Ann")
        page.click("button:has-text('Save')")
        page.wait_for_selector("[role=alert]")
        for pick in picks:
            name, value = pick.split("=")
            page.check(f"input[name='{name}'][value='{value}']", force=True)
        picture(page, f"annotate-{task.name}.png")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator("[role=alert]").count() == 0
        ((_, rater, given),) = annotation.judgements.answers()
        assert rater == "Ann"
        assert answer in given
    annotation.judgements.close()
    (folder / "rated.judgements").unlink()
