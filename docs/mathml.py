"""Formulas as MathML, which browsers draw by themselves: no script, no network."""

from docutils.utils.math import latex2mathml


def inline(self, node):
    self.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
    raise_skip()


def block(self, node):
    formula = latex2mathml.tex2mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math-wide">{formula}</div>')
    raise_skip()


def raise_skip():
    from docutils.nodes import SkipNode

    raise SkipNode


def setup(app):
    app.add_html_math_renderer(
        "mathml", inline_renderers=(inline, None), block_renderers=(block, None)
    )
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
