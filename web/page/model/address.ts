// What visitors type where the address of a bundle is wanted.

/** What is wrong with an address, and what to do. */
export class AddressError extends Error {
  readonly code = 'address';
}

const convert = (name: string) =>
  `${name} is a model on the Hugging Face hub. It has to be converted first, in a terminal:\n\n` +
  `llama-webgpu fetch ${name} --local-dir model\nllama-webgpu quantize model -o models/${name.split('/').pop()} --format int4\n` +
  'llama-webgpu serve models\n\nThen it is in the list above.';

/** The address of a bundle's directory or manifest, as the package takes it. */
export function addressOf(text: string, page: string): string {
  const given = text.trim();
  if (given === '')
    throw new AddressError('Enter the address of a bundle: the directory that has its manifest.json, or that file.');
  if (/^(?:[a-z]:[\\/]|\\\\|~|file:)/i.test(given))
    throw new AddressError('A page cannot read a path on your disk by its name: choose “Open a folder” instead.');
  const hub = hubModel(given);
  if (hub) throw new AddressError(convert(hub));
  let url: URL;
  try {
    url = new URL(/^[\w-]+(?:\.[\w-]+)+(?::\d+)?\//.test(given) ? `https://${given}` : given, page);
  } catch {
    throw new AddressError(`“${given}” is not an address: want https://…, or a path on this server.`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new AddressError(`“${url.protocol}” addresses cannot be loaded: want https://…`);
  const own = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol === 'http:' && page.startsWith('https:') && !own)
    throw new AddressError('This page is secure, so browsers do not let it load from http addresses: want https://…');
  if (isHub(url)) url.pathname = url.pathname.replace('/blob/', '/resolve/');
  return url.href;
}

/** The hub's name for a model that a text names by itself, or by the address of its page. */
function hubModel(text: string): string | undefined {
  if (/^[\w-]+\/[\w.-]+(?::[\w.-]+)?$/.test(text) && !/^(?:models|\.{1,2})\//.test(text) && !text.endsWith('.json'))
    return text;
  let url: URL;
  try {
    url = new URL(/^(?:www\.)?(?:huggingface\.co|hf\.co)\//.test(text) ? `https://${text}` : text);
  } catch {
    return undefined;
  }
  const parts = url.pathname.split('/').filter(Boolean);
  if (!isHub(url) || parts.length < 2 || ['resolve', 'blob'].includes(parts[2] ?? '')) return undefined;
  return `${parts[0]}/${parts[1]}`;
}

function isHub(url: URL): boolean {
  return /^(?:www\.)?(?:huggingface\.co|hf\.co)$/.test(url.hostname);
}

/** What to do where nothing, or no bundle, is found at an address. */
export function advice(url: string, code: string, page: string): string {
  const there = new URL(url, page);
  if (code === 'network' && there.origin !== new URL(page).origin)
    return `\n\nIf ${there.host} answers at all, it may not let other pages read it: it must send the header Access-Control-Allow-Origin.`;
  if (code === 'network') return '\n\nIs llama-webgpu serve still running?';
  if (code === 'not-found')
    return '\n\nA bundle is a directory with manifest.json and model.wgpu, as llama-webgpu quantize writes it. Checkpoints and GGUF files have to be converted first.';
  return '';
}
