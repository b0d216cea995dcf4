const svg = 'http://www.w3.org/2000/svg';

/** Outlines on a field of 24 × 24. */
const paths = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 7h16M4 12h16M4 17h16',
  sliders: 'M4 8h9M17 8h3M4 16h3M11 16h9M15 5.5v5M9 13.5v5',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M8 8h8v8H8z',
  clip: 'M20 11.5l-7.8 7.8a5 5 0 0 1-7.1-7.1l8-8a3.3 3.3 0 0 1 4.7 4.7l-7.9 7.9a1.6 1.6 0 0 1-2.3-2.3l7.2-7.2',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  edit: 'M4 20l1-4L16.5 4.5l3 3L8 19z',
  retry: 'M19 12a7 7 0 1 1-2-5M19 4v4h-4',
  left: 'M14 6l-6 6 6 6',
  right: 'M10 6l6 6-6 6',
  down: 'M6 10l6 6 6-6',
  more: 'M6 12h.01M12 12h.01M18 12h.01',
  trash: 'M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7',
  close: 'M6 6l12 12M18 6L6 18',
  file: 'M7 3.5h7l4 4v13H7zM14 3.5v4h4',
  folder: 'M3.5 6.5h6l2 2.5h9v10.5h-17z',
  chip: 'M7 7h10v10H7zM10 3.5V7M14 3.5V7M10 17v3.5M14 17v3.5M3.5 10H7M3.5 14H7M17 10h3.5M17 14h3.5',
  server: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01',
  tool: 'M14.5 6a4 4 0 0 1 5-.5L17 8l1 2 2.5-1a4 4 0 0 1-5.5 4.5L8.5 20 5 16.5 11 10a4 4 0 0 1 3.5-4z',
  braces: 'M9 4.5C6 4.5 7.5 12 4.5 12 7.5 12 6 19.5 9 19.5M15 4.5c3 0 1.5 7.5 4.5 7.5-3 0-1.5 7.5-4.5 7.5',
  play: 'M8 5.5l10.5 6.5L8 18.5z',
  fork: 'M7 4v9a4 4 0 0 0 4 4h7M15 13.5l3.5 3.5-3.5 3.5M7 8h6a4 4 0 0 0 4-4',
  lines: 'M5 7h14M5 12h14M5 17h8',
  pin: 'M9 4h6l-1 6 3 3.5H7L10 10zM12 13.5V20',
  info: 'M12 11v5.5M12 7.5h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z',
};
export type Icon = keyof typeof paths;

/** An icon; what it means is said by the label of the button that it is in. */
export function icon(name: Icon): SVGSVGElement {
  const e = document.createElementNS(svg, 'svg');
  e.setAttribute('viewBox', '0 0 24 24');
  e.setAttribute('class', 'icon');
  e.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(svg, 'path');
  path.setAttribute('d', paths[name]);
  e.append(path);
  return e;
}

/** Puts icons into the elements that ask for one. */
export function placeIcons(within: ParentNode = document): void {
  for (const e of within.querySelectorAll<HTMLElement>('[data-icon]')) e.prepend(icon(e.dataset['icon'] as Icon));
}
