/**
 * tslab's converter with options, which it has none of: strict types, guplab found from any folder, declarations of our
 * own in place of all that lies in node_modules/@types, and source maps.
 *
 * tslab 1.0.22 is pinned: its converter makes its compiler with ts.createWatchCompilerHost and its last step with
 * ts.transpileModule, and both are replaced here, in the copy of TypeScript that it is given. A test holds it to that.
 */
import { builtinModules, createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DECLARATIONS } from "./declarations.js";
import { packageRoot } from "./root.js";

type TypeScript = typeof import("typescript");
type System = import("typescript").System;

export interface Diagnostic {
  /** Counted from 0. */
  readonly start: { readonly line: number; readonly character: number };
  readonly messageText: string;
  readonly code: number;
  /** Of another file than the cell. */
  readonly fileName?: string;
}

/** tslab's answer to a cell, as far as it is used here. */
export interface Converted {
  readonly diagnostics: readonly Diagnostic[];
}

/** A piece of text that has a kind; inspection and completion are made of them. */
interface Part {
  readonly text: string;
}

export interface QuickInfo {
  readonly displayParts?: readonly Part[];
  readonly documentation?: readonly Part[];
  readonly tags?: readonly { readonly name: string; readonly text?: readonly Part[] }[];
}

export interface Completions {
  readonly start: number;
  readonly end: number;
  readonly candidates: readonly string[];
  readonly original?: { readonly entries: readonly { readonly name: string; readonly kind: string }[] };
}

export interface Converter {
  convert(declarations: string, code: string): Converted;
  inspect(declarations: string, code: string, position: number): QuickInfo | undefined;
  complete(declarations: string, code: string, position: number): Completions;
  close(): void;
}

/** Maps from what runs to the cell: the second step's, then the first's. */
export interface StepMaps {
  readonly toModule: string;
  readonly toCell: string;
}

export interface Compiler {
  readonly converter: Converter;
  /** Of the latest cell that was converted. */
  maps(): StepMaps | undefined;
  /** Whether a text is a whole program, the beginning of one, or neither. */
  isComplete(code: string): { status: "complete" | "incomplete" | "invalid"; indent?: string };
}

const TYPES = "guplab-notebook";
/** A module that brings Node's declarations with it. */
const NODE_TYPES = "guplab-node-types";
/** What shows that a cell uses Node: one of its modules, or one of the names that its declarations bring. */
const SPEAKS_OF_NODE = new RegExp(
  `["'](?:node:[\\w/]+|${builtinModules.filter((name) => !/^_|^assert/.test(name)).join("|")})["']|` +
    "\\b(?:process|Buffer|globalThis|global)\\.\\w|\\bnew Buffer\\b|: Buffer\\b|\\brequire\\(|" +
    "\\b(?:URL|URLSearchParams|TextEncoder|TextDecoder|AbortController|AbortSignal|Blob|fetch|performance)\\b[.(<]|" +
    "\\bnew (?:URL|URLSearchParams|TextEncoder|TextDecoder|AbortController|Blob)\\b",
);

/** Load tslab's compiler for cells that import from this folder. @param allOfNode load Node's declarations at once */
export function createCompiler(allOfNode: boolean): Compiler {
  const require = createRequire(import.meta.url);
  const tslab = createRequire(require.resolve("tslab/package.json"));
  const typescriptFile = tslab.resolve("@tslab/typescript-for-tslab");
  const ts: TypeScript = tslab(typescriptFile);
  const nodeTypes = dirname(tslab.resolve("@types/node/package.json"));

  // Files that are nowhere but here.
  const folder = join(packageRoot(), "declarations");
  const files = new Map([
    [
      join(folder, TYPES, "index.d.ts"),
      `/// <reference path="${join(nodeTypes, "assert.d.ts")}" />
/// <reference path="${join(nodeTypes, "assert", "strict.d.ts")}" />
${DECLARATIONS}`,
    ],
    [
      join(folder, NODE_TYPES, "index.d.ts"),
      `/// <reference path="${join(nodeTypes, "index.d.ts")}" />\nexport {};\n`,
    ],
  ]);
  const folders = new Set([folder, ...[...files.keys()].map((file) => dirname(file))]);

  let latest: StepMaps | undefined;
  const createWatchCompilerHost = (roots: string[], options: object, system: System, ...rest: unknown[]) => {
    const { readFile, fileExists, directoryExists, watchFile } = system;
    system.readFile = (path, encoding) => files.get(path) ?? readFile.call(system, path, encoding);
    system.fileExists = (path) => files.has(path) || fileExists.call(system, path);
    system.directoryExists = (path) => folders.has(path) || directoryExists.call(system, path);
    // Of hundreds of declaration files none changes while a kernel runs.
    system.watchFile = (path, ...how) =>
      path.endsWith(".d.ts") && dirname(path) !== system.getCurrentDirectory()
        ? { close() {} }
        : (watchFile as NonNullable<typeof watchFile>).call(system, path, ...how);
    const ours = {
      strict: true,
      inlineSourceMap: true,
      typeRoots: [folder],
      types: [TYPES],
      paths: {
        guplab: [join(packageRoot(), "dist", "src", "index.d.ts")],
        [NODE_TYPES]: [join(folder, NODE_TYPES, "index.d.ts")],
      },
    };
    const create = ts.createWatchCompilerHost as (...args: unknown[]) => unknown;
    return create(roots, { ...options, ...ours }, system, ...rest);
  };
  const transpileModule: TypeScript["transpileModule"] = (text, options) => {
    const [, encoded] = INLINE_MAP.exec(text) ?? [];
    const compilerOptions = { ...options.compilerOptions, sourceMap: true };
    const output = ts.transpileModule(text.replace(INLINE_MAP, ""), { ...options, compilerOptions });
    if (encoded !== undefined) {
      latest = {
        toModule: output.sourceMapText as string,
        toCell: Buffer.from(encoded, "base64").toString(),
      };
    }
    return { ...output, outputText: output.outputText.replace(/^\/\/# sourceMappingURL=.*\n?/m, "") };
  };
  const loaded = require.cache[typescriptFile] as NodeJS.Module;
  loaded.exports = { ...ts, createWatchCompilerHost, transpileModule };
  const { createConverter, isCompleteCode } = tslab("./dist/converter.js") as TslabConverter;
  const converter = createConverter({});

  let usesNode = allOfNode;
  const withNode = (declarations: string, code: string) => {
    usesNode ||= SPEAKS_OF_NODE.test(code);
    return usesNode ? `import "${NODE_TYPES}";\n${declarations}` : declarations;
  };
  return {
    converter: {
      convert: (declarations, code) => converter.convert(withNode(declarations, code), code),
      inspect: (declarations, code, at) => converter.inspect(withNode(declarations, code), code, at),
      complete: (declarations, code, at) => converter.complete(withNode(declarations, code), code, at),
      close: () => converter.close(),
    },
    maps: () => latest,
    isComplete: (code) => {
      const { completed, indent } = isCompleteCode(code);
      if (!completed) return { status: "incomplete", indent: indent ?? "" };
      const file = ts.createSourceFile("cell.tsx", code, ts.ScriptTarget.Latest);
      const { parseDiagnostics } = file as unknown as { parseDiagnostics: readonly { code: number }[] };
      if (parseDiagnostics.some(({ code }) => UNENDED.includes(code)))
        return { status: "incomplete", indent: "" };
      return { status: parseDiagnostics.length > 0 ? "invalid" : "complete" };
    },
  };
}

interface TslabConverter {
  createConverter(options: object): Converter;
  isCompleteCode(code: string): { completed: boolean; indent?: string };
}

const INLINE_MAP = /\n?\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/;

/** TypeScript's numbers for a comment and a template that do not end. */
const UNENDED = [1010, 1160];
