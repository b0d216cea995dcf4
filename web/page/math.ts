// Formulas: Temml turns TeX into MathML, which browsers draw themselves. It is a script of its own, with its style in it, which the
// page loads with the first formula. Temml makes elements, no string becomes HTML; what it makes is checked all the same.
import { temml } from './lib/temml.js';

/** Longer formulas stay as they are. */
const longest = 4000;

const elements = new Set(
  'math semantics mrow mi mn mo ms mspace mtext mstyle mpadded mphantom mfrac msqrt mroot msub msup msubsup munder mover munderover mmultiscripts mprescripts none mtable mtr mtd menclose span'.split(
    ' ',
  ),
);
const attributes = new Set(
  'accent accentunder class columnalign columnlines columnspacing columnspan depth display displaystyle fence form height largeop linethickness lspace mathbackground mathcolor mathvariant maxsize minsize movablelimits notation rowalign rowlines rowspacing rowspan rspace scriptlevel separator stretchy style symmetric voffset width'.split(
    ' ',
  ),
);

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  .math.display { display: block; overflow: auto hidden; padding: 0.2em 0; text-align: center }
  .math mtd.tml-left { text-align: -webkit-left; text-align: left }
  .math mtd.tml-right { text-align: -webkit-right; text-align: right }
  .math menclose { display: inline-block; position: relative }
  .math .tml-cancel { position: absolute; inset: 0 }
  .math .upstrike { background: linear-gradient(to top left, transparent 48%, currentColor 49%, currentColor 51%, transparent 52%) }
  .math .downstrike { background: linear-gradient(to top right, transparent 48%, currentColor 49%, currentColor 51%, transparent 52%) }
  .math .sout { background: linear-gradient(transparent 48%, currentColor 49%, currentColor 51%, transparent 52%) }
`);
document.adoptedStyleSheets.push(sheet);

/** A formula as an element; undefined: it is none, too long, or asks for something that formulas have no business with. */
export function typeset(tex: string, display: boolean): Element | undefined {
  if (tex.length > longest) return undefined;
  const root = document.createElement('span');
  try {
    temml.render(tex, root, {
      displayMode: display,
      throwOnError: true,
      maxExpand: 500,
      maxSize: [20, 5],
      trust: false,
    });
  } catch {
    return undefined;
  }
  const all = Array.from(root.querySelectorAll('*'));
  if (all.length === 0 || all.length > 5000 || !all.every(harmless)) return undefined;
  return root.firstElementChild ?? undefined;
}

function harmless(e: Element): boolean {
  const names = e.getAttributeNames();
  return (
    elements.has(e.localName) &&
    names.every((a) => attributes.has(a)) &&
    !/url\(|position/.test(e.getAttribute('style') ?? '')
  );
}
