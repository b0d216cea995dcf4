import { checked, options as optionsOf, text as textOf, tokenIds } from './arguments.js';
import type { CacheReport } from './cache.js';
import { LlamaError } from './errors.js';
import { type GoModel, type KernelTrial, type Runtime, unwrap } from './runtime.js';

/** The part of a manifest that this package reads; docs/format.md describes all of it. */
export interface Manifest {
  id: string;
  generator: string;
  spec: { vocab: number; hidden: number; max_positions?: number; layers: number[] };
  quantization: { format: string; block?: number };
  files: { name: string; size: number }[];
  tensors: { name: string; type: string; length: number }[];
  tokenizer: {
    size?: number;
    sha256?: string;
    bos?: number;
    eos: number[] | null;
    chat_template?: string;
    special_tokens?: Record<string, string>;
  };
}

/** Turns text into token ids and back. */
export class Tokenizer {
  /** @internal */
  constructor(
    private readonly go: GoModel,
    private readonly runtime: Runtime,
    private readonly vocab: number,
  ) {}

  /** The ids of a text, with the token that begins a text in front if the model expects one. */
  encode(text: string, options: { special?: boolean } = {}): Int32Array {
    const [t, special] = checked(() => [textOf('text', text), optionsOf(options).special ?? true] as const);
    return this.runtime.call(() => unwrap(this.go.encode(t, special)));
  }

  /** The text of ids, without special tokens unless `special` is set. */
  decode(ids: Iterable<number>, options: { special?: boolean } = {}): string {
    const [list, special] = checked(() => [tokenIds('ids', ids, this.vocab), optionsOf(options).special] as const);
    return this.runtime.call(() => unwrap(this.go.decode(list, !special)));
  }

  /** A token as spelled in the vocabulary. */
  token(id: number): string | undefined {
    const [one] = checked(() => tokenIds('id', [id], this.vocab));
    return this.runtime.call(() => unwrap(this.go.token(one!))) ?? undefined;
  }
}

/** A model whose weights are on a GPU. Transformers run it. */
export class Model {
  private disposing: Promise<void> | undefined;

  /** @internal */
  constructor(
    readonly device: GPUDevice,
    readonly manifest: Manifest,
    /** Whether and where the model is cached for the next visit. */
    readonly cache: CacheReport,
    /** Whether it was read from the cache. */
    readonly fromCache: boolean,
    /** @internal */
    readonly runtime: Runtime,
    private readonly goModel: GoModel,
    /** @internal */
    readonly warn: (message: string) => void,
  ) {}

  /** @internal */
  get go(): GoModel {
    if (this.disposing) throw new LlamaError('disposed', 'The model has been disposed of.');
    return this.goModel;
  }

  /** @internal */
  get isDisposed(): boolean {
    return this.disposing !== undefined;
  }

  get tokenizer(): Tokenizer {
    if (!this.go.hasTokenizer) throw new LlamaError('invalid-argument', 'The bundle has no tokenizer.');
    return new Tokenizer(this.go, this.runtime, this.manifest.spec.vocab);
  }

  /** The format of most of its matrices: int8, int4, int2 or f16. */
  get format(): string {
    return this.manifest.quantization.format;
  }

  /** How many of the choices that benchmark() has kept for this device it was loaded with. */
  get tuned(): number {
    return this.go.tuned;
  }

  /** Bytes on the GPU by purpose, of everything on this device. */
  memory(): Record<string, number> {
    return this.runtime.call(() => this.runtime.api.memory());
  }

  /** The results of the kernel trials on this device. */
  kernels(): KernelTrial[] {
    const go = this.go;
    return this.runtime.call(() => go.kernels());
  }

  /** Releases its GPU memory, and that of its Transformers. */
  async dispose(): Promise<void> {
    this.disposing ??= this.runtime.release(() => this.goModel.close());
    await this.disposing;
  }
}
