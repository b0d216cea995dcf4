// The drawer with the settings: a script of its own, which is loaded when the page has been drawn.
import { part, style } from './lib/part.js';
import { Drawer } from './settings/drawer.js';
import type { Settings } from './settings/settings.js';
import { themeSwitch } from './settings/theme.js';

export async function openDrawer(s: Settings, changed: (what: keyof Settings) => void): Promise<Drawer> {
  await Promise.all([part('settings.html', document.body), style('settings.css')]);
  themeSwitch();
  return new Drawer(s, changed);
}
