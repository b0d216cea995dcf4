// The page: puts its parts together.
import { Chats } from './chat/chats.js';
import { Composer } from './chat/composer.js';
import { Sidebar } from './chat/sidebar.js';
import { branch } from './chat/tree.js';
import { ConversationView, suggestions } from './chat/view.js';
import { KeyError } from './engine/server.js';
import { measuring } from './lazy.js';
import { $, button } from './lib/dom.js';
import { lookForGPU } from './lib/gpu.js';
import { placeIcons } from './lib/icons.js';
import { aborted, announce, calm, complain } from './lib/notices.js';
import type { Measuring } from './measure.js';
import { ModelBar } from './model/bar.js';
import { type Choice, Models } from './model/models.js';
import { Picker } from './model/picker.js';
import { Chips } from './settings/chips.js';
import { Drawer } from './settings/drawer.js';
import { localOptions } from './settings/options.js';
import { load as loadSettings } from './settings/settings.js';
import { theme } from './settings/theme.js';

theme();
const settings = loadSettings();
const models = new Models();
const chats = new Chats(
  () => models.engine,
  () => settings,
);
const drawer = new Drawer(settings, (what) => {
  if (what === 'system') {
    chats.current.system = settings.system;
    void chats.save(chats.current);
  }
  chips.show();
});
const chips = new Chips(settings, drawer);
const view = new ConversationView(chats, {
  edit: (m, text) => guarded(() => void chats.edit(m, text)),
  again: (m) => guarded(() => void chats.again(m)),
  remove: (m) => void chats.remove(m),
  turn: (m, by) => void chats.turn(m, by),
  results: (m, results) => guarded(() => void chats.results(m, results)),
});
const composer = new Composer({
  send: (text, attachments) => guarded(() => void chats.send(text, attachments)),
  stop: () => chats.stop(),
  editLast: () => view.editLast(),
});
new Sidebar(chats);
const picker = new Picker(models, (c) => void load(c));
const bar = new ModelBar(
  models,
  chats,
  (c) => void load(c),
  () => void picker.open(),
);

/** Does something that needs a model, or says what is missing. */
function guarded(run: () => void): boolean {
  if (!models.engine) {
    if (models.loading) announce('The model is still being loaded.');
    else void picker.open();
    return false;
  }
  if (chats.writing || measuringNow) {
    announce('The model is busy.');
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
  const kept = chats.current.messages.length > 0;
  const { title, id } = chats.current;
  document.title = kept ? `${title} · llama-webgpu` : 'llama-webgpu';
  history.replaceState(null, '', kept ? `#${id}` : location.pathname + location.search);
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
  const { Measuring } = await measuring();
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
  if (e.key === 'Escape' && !document.querySelector('dialog[open]')) {
    chats.stop();
    measure?.stop();
  }
  if ((e.ctrlKey || e.metaKey) && e.shiftKey && e.key.toLowerCase() === 'o') {
    e.preventDefault();
    turn('chat');
    button('new-chat').click();
  }
});
addEventListener('beforeunload', (e) => {
  if (chats.writing) e.preventDefault();
});
addEventListener('hashchange', () => {
  const found = chats.list.find((c) => c.id === location.hash.slice(1));
  if (found && found !== chats.current) chats.select(found);
});

// --- the beginning

document.body.dataset['state'] = 'starting';
placeIcons();
chats.current.system = settings.system;
const [adapter] = await Promise.all([lookForGPU(), chats.open(location.hash.slice(1) || undefined)]);
models.adapter = adapter;
await models.refresh();
bar.show();
begun = true;
showEngine();
const last = models.last();
if (last) void load(last);
else if (branch(chats.current).length === 0) composer.focus();
