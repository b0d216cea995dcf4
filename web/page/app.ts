// The page: puts its parts together.
import { Chats } from './chat/chats.js';
import { Composer } from './chat/composer.js';
import { Drafts } from './chat/drafts.js';
import { Sidebar } from './chat/sidebar.js';
import { Trail } from './chat/trail.js';
import { branch, type Conversation, type Message } from './chat/tree.js';
import { ConversationView, suggestions } from './chat/view.js';
import { KeyError } from './engine/server.js';
import { measuring, settingsDrawer, shortcuts } from './lazy.js';
import { $, button, composing } from './lib/dom.js';
import { lookForGPU } from './lib/gpu.js';
import { placeIcons } from './lib/icons.js';
import { aborted, calm, complain, toast } from './lib/notices.js';
import type { Measuring } from './measure.js';
import { ModelBar } from './model/bar.js';
import { type Choice, Models } from './model/models.js';
import { Picker } from './model/picker.js';
import { Chips, type Opener } from './settings/chips.js';
import { localOptions } from './settings/options.js';
import { load as loadSettings, type Settings } from './settings/settings.js';
import { theme } from './settings/theme.js';

theme();
const settings = loadSettings();
const models = new Models();
const chats = new Chats(
  () => models.engine,
  () => settings,
);
const drawer = settingsDrawer().then(({ openDrawer }) => openDrawer(settings, changed));
const opener: Opener = {
  open: (field) => void drawer.then((d) => d.open(field)).catch(complain),
  show: () => void drawer.then((d) => d.show()).catch(complain),
};
const chips = new Chips(settings, opener);

function changed(what: keyof Settings): void {
  if (what === 'system') {
    chats.current.system = settings.system;
    void chats.save(chats.current);
  }
  chips.show();
}

const view = new ConversationView(chats, {
  edit: (m, text) => guarded(() => void chats.edit(m, text)),
  again: (m) => guarded(() => void chats.again(m)),
  goOn: (m) => guarded(() => void chats.goOn(m)),
  answerNow: () => void chats.answerNow(),
  fork: (m) => void chats.fork(m),
  remove: (m) => void removed(m),
  turn: (m, by) => void chats.turn(m, by),
  results: (m, results) => guarded(() => void chats.results(m, results)),
  enterSends: () => settings.enterSends,
});
let drafts: Drafts | undefined;
const composer = new Composer({
  send: (text, attachments) => guarded(() => void chats.send(text, attachments)),
  stop: () => chats.stop(),
  editLast: () => view.editLast(),
  changed: () => drafts?.changed(),
  enterSends: () => settings.enterSends,
});
drafts = new Drafts(chats, composer, () => models.engine);
const sidebar = new Sidebar(chats);
const picker = new Picker(models, (c) => void load(c));
const bar = new ModelBar(
  models,
  chats,
  (c) => void load(c),
  () => void picker.open(),
);

async function removed(m: Message): Promise<void> {
  const back = await chats.remove(m);
  if (back) toast('Deleted', () => void back());
  else toast('The model is writing here: stop it first.');
}

/** Does something that needs a model, or says what is missing. */
function guarded(run: () => void): boolean {
  if (!models.engine) {
    if (models.loading) toast('The model is still being loaded.');
    else void picker.open();
    return false;
  }
  if (chats.writing || measuringNow) {
    toast('The model is busy: stop it, or wait.');
    return false;
  }
  calm();
  run();
  return true;
}

async function load(choice: Choice): Promise<void> {
  calm();
  try {
    await models.load(choice);
    if (!document.querySelector('dialog[open]')) composer.focus();
  } catch (e) {
    failed(e, choice);
  }
}

function askForKey(): void {
  models.wantsKey = true;
  void picker.open();
}

/** Says why a model was not loaded, and what can be done. */
function failed(e: unknown, choice: Choice): void {
  if (aborted(e)) return;
  if (e instanceof KeyError) {
    askForKey();
    return;
  }
  const full = ['out-of-memory', 'too-large'].includes(String((e as { code?: unknown }).code));
  const again = { label: 'Try again', run: () => void load(choice) };
  const alone = {
    label: `Unload ${models.engine?.name} and try again`,
    run: () => void models.unload().then(() => load(choice)),
  };
  const other = { label: 'Choose another model', run: () => void picker.open() };
  const { engine } = models;
  const still = engine ? `\n\n${engine.name} is still loaded.` : '';
  const why = e instanceof Error ? e.message : String(e);
  const told = Object.assign(new Error(`${choice.name}: ${why}${still}`), { code: (e as { code?: unknown }).code });
  complain(told, [full && models.local ? alone : again, other]);
}

chats.addEventListener('failed', (e) => {
  const error = (e as CustomEvent<{ code?: string }>).detail;
  if (error instanceof KeyError) askForKey();
  if (error.code !== 'device-lost' || !models.choice) return;
  const { choice } = models;
  void models.unload();
  complain(error, [{ label: `Load ${choice.name} again`, run: () => void load(choice) }]);
});

// --- what is shown

const trail = new Trail(chats);

let begun = false; // until it is known what there is, the page shows that it starts

const beginnings = [
  'It was a cold morning of the early spring, and',
  'The ship left the harbor at dawn. On board',
  'A recipe for bread:\n\n1.',
  'Once upon a time, in a house by the sea,',
];
const questions = [
  'Why is the sky blue?',
  'Write a short story about a lighthouse keeper.',
  'Explain recursion with an example in Python.',
  'Make a packing list for a weekend in the mountains, as a table.',
];

function showEngine(): void {
  const { engine } = models;
  const talks = engine?.chats ?? true;
  composer.placeholder = !engine
    ? 'Choose a model to begin'
    : talks
      ? `Message ${engine.name}`
      : `A text for ${engine.name} to continue`;
  suggestions(engine ? (talks ? questions : beginnings) : [], (text) => composer.set(text));
  state();
}

function state(): void {
  if (!begun) return;
  const { loading, engine } = models;
  const writing = chats.writing !== undefined;
  composer.writing = chats.writing?.conversation === chats.current && writing;
  document.body.dataset['state'] =
    measuringNow ?? (writing ? 'writing' : loading ? 'loading' : engine ? 'ready' : 'empty');
  measure?.enable(writing);
}

for (const what of ['writing', 'shown'] as const) chats.addEventListener(what, state);
chats.addEventListener('shown', () => {
  settings.system = chats.current.system;
  chips.show();
  trail.shown();
});
models.addEventListener('engine', () => {
  showEngine();
  measure?.modelChanged();
});
models.addEventListener('loading', state);

// --- the measuring panel

let measure: Measuring | undefined;
let measuringNow: 'writing' | 'checking' | undefined;

async function openMeasuring(): Promise<void> {
  if (measure) return;
  const { Measuring, draw } = await measuring();
  await draw();
  measure ??= new Measuring({
    model: () => models.local,
    name: () => models.engine?.name ?? '',
    source: () => {
      const c = models.choice;
      return c && ('url' in c ? c.url : 'files' in c ? c.files : undefined);
    },
    reference: () => {
      const c = models.choice;
      const served =
        c &&
        'url' in c &&
        models.listed.some((m) => m.name === c.name && c.url.endsWith(`/models/${m.name}/manifest.json`));
      return models.reference && served && new URL(c.url).origin === location.origin ? c.name : undefined;
    },
    options: () => localOptions(settings),
    complain,
    busy: (what) => {
      measuringNow = what;
      state();
    },
  });
  measure.enable(chats.writing !== undefined);
}

function turn(tab: 'chat' | 'measure'): void {
  for (const name of ['chat', 'measure'] as const) {
    $(name).hidden = name !== tab;
    button(`tab-${name}`).setAttribute('aria-selected', String(name === tab));
    button(`tab-${name}`).tabIndex = name === tab ? 0 : -1;
  }
  if (tab === 'measure') void openMeasuring().catch(complain);
}

for (const name of ['chat', 'measure'] as const) {
  button(`tab-${name}`).addEventListener('click', () => turn(name));
  button(`tab-${name}`).addEventListener('keydown', (e) => {
    if (e.key !== 'ArrowLeft' && e.key !== 'ArrowRight') return;
    const other = name === 'chat' ? 'measure' : 'chat';
    turn(other);
    button(`tab-${other}`).focus();
  });
}

document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && !composing(e) && !document.querySelector('dialog[open], :popover-open')) {
    chats.stop();
    measure?.stop();
  }
  const run = (e.ctrlKey || e.metaKey) && !e.altKey && keys[`${e.shiftKey ? 'shift+' : ''}${e.key.toLowerCase()}`];
  if (!run || document.querySelector('dialog[open]')) return;
  e.preventDefault();
  run();
});

/** What keys do, with Ctrl or Command. */
const keys: { [key: string]: (() => void) | undefined } = {
  'shift+o': () => {
    turn('chat');
    button('new-chat').click();
  },
  k: () => sidebar.search(),
  b: () => sidebar.toggle(),
  'shift+arrowup': () => chats.step(-1),
  'shift+arrowdown': () => chats.step(1),
  'shift+e': () => ifKept((c) => sidebar.rename(c)),
  'shift+d': () => ifKept((c) => void sidebar.delete([c])),
  '/': () => void openShortcuts(),
};

function ifKept(f: (c: Conversation) => void): void {
  if (chats.list.includes(chats.current)) f(chats.current);
}

async function openShortcuts(): Promise<void> {
  (await shortcuts()).showShortcuts();
}

button('open-settings').addEventListener('click', () => opener.open());
addEventListener('beforeunload', (e) => {
  if (chats.writing) e.preventDefault();
});

// --- the beginning

document.body.dataset['state'] = 'starting';
placeIcons();
chats.current.system = settings.system;
const [adapter] = await Promise.all([
  lookForGPU(),
  chats.open(location.hash.slice(1) || undefined),
  drawer.then(settingsShown, complain),
]);
models.adapter = adapter;
await models.refresh();
bar.show();
begun = true;
showEngine();
// where the server is this machine, the page has no use without it
if (!/^(localhost|127\..*|\[::1\])$/.test(location.hostname))
  void navigator.serviceWorker?.register('sw.js').catch(() => {}); // it needs the server then

const link = new URLSearchParams(location.search);
const last = named(link.get('m') ?? link.get('model')) ?? models.last();
if (last) await load(last);
else if (branch(chats.current).length === 0) composer.focus();
const question = link.get('q');
if (question !== null || link.has('m') || link.has('model')) trail.forget();
if (question) ask(question);

function settingsShown(): void {
  button('show-shortcuts').addEventListener('click', () => {
    $<HTMLDialogElement>('settings').close();
    void openShortcuts().catch(complain);
  });
}

/** The choice that an address asks for: a model of the server's, where the last one ran, or where it needs no download. */
function named(name: string | null): Choice | undefined {
  if (!name) return undefined;
  const choice = models.named(name);
  if (!choice) complain(Object.assign(new Error(`There is no model named ${name} here.`), { code: 'not-found' }));
  return choice;
}

/** Asks what the address asks, in a chat of its own. */
function ask(text: string): void {
  if (chats.current.messages.length > 0) chats.begin();
  composer.set(text);
  if (models.engine) $<HTMLFormElement>('composer').requestSubmit();
}
