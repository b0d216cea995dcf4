// In Node, what benchmark() finds is kept in a file of the user's.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Tuned, TuningStore } from './tuning.js';

/** The file: in the user's cache directory, beside the native program's. */
export function tuningPath(): string {
  const { env, platform } = process;
  const caches =
    platform === 'win32'
      ? env['LOCALAPPDATA'] || join(homedir(), 'AppData', 'Local')
      : platform === 'darwin'
        ? join(homedir(), 'Library', 'Caches')
        : env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(caches, 'llama-webgpu', 'tuning-npm.json');
}

interface TuningFile {
  version: 1;
  devices: Record<string, Tuned[]>;
}

export class TuningInFile implements TuningStore {
  async get(device: string): Promise<Tuned[] | undefined> {
    return (await this.read()).devices[device];
  }

  /** Replaces the file as a whole. */
  async put(device: string, tuned: Tuned[]): Promise<void> {
    const all = await this.read().catch((): TuningFile => ({ version: 1, devices: {} }));
    all.devices[device] = tuned;
    const path = tuningPath();
    const part = `${path}.${process.pid}`;
    await mkdir(dirname(path), { recursive: true });
    try {
      await writeFile(part, `${JSON.stringify(all, null, 1)}\n`);
      await rename(part, path);
    } catch (e) {
      await rm(part, { force: true });
      throw e;
    }
  }

  async clear(): Promise<void> {
    await rm(tuningPath(), { force: true });
  }

  private async read(): Promise<TuningFile> {
    let text: string;
    try {
      text = await readFile(tuningPath(), 'utf8');
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') return { version: 1, devices: {} };
      throw e;
    }
    const all = JSON.parse(text) as Partial<TuningFile>;
    if (all.version !== 1 || typeof all.devices !== 'object') throw new Error(`${tuningPath()}: not a file of tuning`);
    return all as TuningFile;
  }
}
