/**
 * Where in a cell an error happened. Stock tslab compiles a cell twice (TypeScript to modules, modules to CommonJS)
 * without source maps, so a stack speaks of lines nobody wrote. Here the two steps are repeated with maps, by the
 * same compiler, and only when a cell failed: it costs half a second.
 *
 * Named is the line of the failing cell itself, not of a function that an earlier cell defined: all cells bear the
 * same file name in a stack, and only the outermost frame is sure to be of this one.
 */
import { createRequire, SourceMap, type SourceMapPayload } from "node:module";

type TypeScript = typeof import("typescript");

/**
 * Line of the cell, counted from 1, at which its execution failed; undefined when the text names none, as when
 * something other than an Error was thrown.
 *
 * @param source the cell
 * @param complaint what tslab printed about the error: the findings of its type check, or a stack
 * @example errorLine('1;\nconst n: number = "x";', "2:7 - Type 'string' is not assignable to type 'number'.\n") // 2
 */
export function errorLine(source: string, complaint: string): number | undefined {
  const finding = /^(\d+):\d+ - /.exec(complaint);
  if (finding) return Number(finding[1]);
  const stack = [...complaint.matchAll(/^ {4}at .*?evalmachine\.<anonymous>:(\d+):(\d+)\)?$/gm)];
  if (stack.length === 0) return undefined;
  const toSource = compiledPositions(source);
  // The last frame may be tslab's call of the cell as a function, a line that no map knows.
  return stack
    .reverse()
    .map(([, line, column]) => toSource(Number(line), Number(column)))
    .find((line) => line !== undefined);
}

/** From a position in what tslab runs (from 1) to the line of the cell (from 1). */
function compiledPositions(source: string): (line: number, column: number) => number | undefined {
  const require = createRequire(createRequire(import.meta.url).resolve("tslab/package.json"));
  const ts: TypeScript = require("@tslab/typescript-for-tslab");
  const prefix = "export {};\n";
  const locals = compile(ts, prefix + source).locals.join(", ");
  const modules = compile(ts, `${prefix}${source}${locals && `\nexport {${locals}}`}`);
  const commonJs = ts.transpileModule(modules.text, {
    fileName: CELL,
    compilerOptions: { ...options(ts), module: ts.ModuleKind.CommonJS },
  });
  const [first, second] = [modules.map, commonJs.sourceMapText ?? ""].map(
    (map) => new SourceMap(JSON.parse(map) as SourceMapPayload),
  );
  const lineCount = withoutMapComment(commonJs.outputText).split("\n").length;
  return (line, column) => {
    if (line > lineCount) return undefined;
    const between = second.findEntry(line - 1, column - 1);
    const origin = "originalLine" in between && first.findEntry(between.originalLine, between.originalColumn);
    // A line counted from 0 behind a prefix of one line is a line of the cell counted from 1.
    return origin && "originalLine" in origin ? origin.originalLine : undefined;
  };
}

const CELL = "cell.ts";

/** tslab's output has no such comment, which is a line. */
const withoutMapComment = (text: string) => text.replace(/^\/\/# sourceMappingURL=.*\n?/gm, "");

/** tslab's compiler options, as far as they move lines. */
function options(ts: TypeScript) {
  return {
    target: ts.ScriptTarget.ES2022,
    newLine: ts.NewLineKind.LineFeed,
    noImplicitUseStrict: true,
    esModuleInterop: true,
    experimentalDecorators: true,
    jsx: ts.JsxEmit.React,
    sourceMap: true,
  };
}

/** tslab's first step: the cell as a module, with the names that it declares. */
function compile(ts: TypeScript, text: string): { text: string; map: string; locals: string[] } {
  const file = ts.createSourceFile(CELL, text, ts.ScriptTarget.ES2022, true);
  const emitted = new Map<string, string>();
  const settings = { ...options(ts), module: ts.ModuleKind.ESNext, noLib: true, noResolve: true, types: [] };
  const program = ts.createProgram([CELL], settings, {
    getSourceFile: (name) => (name === CELL ? file : undefined),
    writeFile: (name, data) => emitted.set(name, data),
    getDefaultLibFileName: () => "",
    getCurrentDirectory: () => "",
    getCanonicalFileName: (name) => name,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: () => false,
    readFile: () => undefined,
  });
  program.getTypeChecker();
  program.emit(file);
  const { locals } = file as unknown as { locals?: ReadonlyMap<string, unknown> };
  return {
    text: withoutMapComment(emitted.get("cell.js") ?? ""),
    map: emitted.get("cell.js.map") ?? "{}",
    locals: [...(locals?.keys() ?? [])],
  };
}
