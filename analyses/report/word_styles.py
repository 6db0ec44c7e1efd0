"""How a Word document of ours looks: paper, fonts, and one named style for each kind of paragraph.

Everything is a real style, so that a journal's template or a reader's taste changes the whole document at once.
"""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docx.document import Document
    from docx.styles.style import ParagraphStyle

FONT = "Calibri"  # one of the fonts APA 7 names; LibreOffice has Carlito, of the same widths, in its place
MONOSPACED = "Consolas"
PAPER_MM = (210.0, 297.0)
MARGIN_MM = 25.4
TEXT_WIDTH_MM = PAPER_MM[0] - 2 * MARGIN_MM
INK, MUTED, SOFT, RULE = "1F2933", "52606D", "F5F7FA", "9AA5B1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One kind of paragraph.

    Attributes:
        size: of the letters, in points. before, after: space around, in points. indent: from the left, in millimetres.
        keep: stays on the page of the next paragraph. lines: line spacing.
        bar: a rule to the left. shade: a light background.
    """

    size: float | int = 11
    bold: bool = False
    italic: bool = False
    before: float | int = 0
    after: float | int = 6
    indent: float | int = 0
    lines: float | int = 1.15
    keep: bool = False
    muted: bool = False
    font: str = FONT
    bar: bool = False
    shade: bool = False


LOOKS = {
    "Normal": Look(),
    "Title": Look(size=20, bold=True, after=4, lines=1.05),
    "Subtitle": Look(size=12, muted=True, after=14),
    "Heading 1": Look(size=15, bold=True, before=18, after=6, keep=True, lines=1.05),
    "Heading 2": Look(size=12.5, bold=True, before=12, after=4, keep=True, lines=1.05),
    "Caption": Look(bold=True, before=10, after=0, keep=True),
    "Caption Title": Look(italic=True, after=4, keep=True),
    "Table Heading": Look(size=10, before=2, after=2, lines=1.0, keep=True),
    "Table Text": Look(size=10, before=1, after=1, lines=1.0),
    "Table Note": Look(size=9.5, before=3, after=0, lines=1.0),
    "Figure Image": Look(after=2, lines=1.0),
    "Tag": Look(size=9, bold=True, before=6, after=1, muted=True, keep=True),
    "APA Sentence": Look(after=4, indent=4, bar=True),
    "How To Read": Look(size=10, after=6, shade=True),
    "Code": Look(size=9, after=8, lines=1.0, font=MONOSPACED, shade=True),
    "Small Print": Look(size=9.5, muted=True),
    "Contents Entry": Look(after=2),
    "Footer": Look(size=8.5, muted=True, after=0, lines=1.0),
}


def set_up(document: Document) -> None:
    """Give an empty document the paper and the styles of ours."""
    from docx.shared import Mm

    for section in document.sections:
        section.page_width, section.page_height = (Mm(size) for size in PAPER_MM)
        section.left_margin = section.right_margin = Mm(MARGIN_MM)
        section.top_margin = section.bottom_margin = Mm(MARGIN_MM)
    for name, look in LOOKS.items():
        _apply(_style(document, name), look)
    _language(document)


def _style(document: Document, name: str) -> ParagraphStyle:
    """A paragraph style by name, made if the template has none."""
    from docx.enum.style import WD_STYLE_TYPE

    known = {style.name for style in document.styles if style.type == WD_STYLE_TYPE.PARAGRAPH}
    style = document.styles[name] if name in known else document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = None if name == "Normal" else document.styles["Normal"]  # pyright: ignore[reportAttributeAccessIssue]
    return style  # pyright: ignore[reportReturnType]


def _apply(style: ParagraphStyle, look: Look) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Mm, Pt, RGBColor

    font, layout = style.font, style.paragraph_format
    font.name, font.size, font.bold, font.italic = look.font, Pt(look.size), look.bold, look.italic
    font.color.rgb = RGBColor.from_string(MUTED if look.muted else INK)
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(qn(f"w:{theme}"), None)
    for kind in ("ascii", "hAnsi", "cs", "eastAsia"):
        fonts.set(qn(f"w:{kind}"), look.font)
    layout.space_before, layout.space_after = Pt(look.before), Pt(look.after)
    layout.left_indent, layout.line_spacing, layout.keep_with_next = Mm(look.indent), look.lines, look.keep
    layout.widow_control = True
    _decorate(style, look)


def _decorate(style: ParagraphStyle, look: Look) -> None:
    """The rule to the left and the background; what the template drew (a line below titles) goes."""
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls, qn

    properties = style.element.get_or_add_pPr()
    for name in ("w:pBdr", "w:shd", "w:contextualSpacing"):
        for old in properties.findall(qn(name)):
            properties.remove(old)
    # both have their place after the spacing's neighbours; Word is strict about the order
    place = next((k for k, child in enumerate(properties) if child.tag in _later()), len(properties))
    if look.shade:
        properties.insert(place, parse_xml(f'<w:shd {nsdecls("w")} w:val="clear" w:color="auto" w:fill="{SOFT}"/>'))
    if look.bar:
        bar = f'<w:left w:val="single" w:sz="12" w:space="8" w:color="{RULE}"/>'
        properties.insert(place, parse_xml(f"<w:pBdr {nsdecls('w')}>{bar}</w:pBdr>"))


def _later() -> set[str]:
    """Properties of a paragraph that come after borders and shading."""
    from docx.oxml.ns import qn

    names = ("tabs", "suppressAutoHyphens", "spacing", "ind", "jc", "outlineLvl")
    return {qn(f"w:{name}") for name in names}


def _language(document: Document) -> None:
    """British English, so that a spelling checker does not underline the text."""
    from docx.oxml.ns import qn

    for language in document.styles.element.iter(qn("w:lang")):
        language.set(qn("w:val"), "en-GB")
