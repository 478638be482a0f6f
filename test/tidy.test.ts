/**
 * What a review would otherwise have to look for: the floors (which folder may import which), chance and clocks, Node
 * in what must run in a browser, undocumented public names, overlong files.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const filesOf = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|tsx|mjs)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();

const SOURCES = filesOf("src");
const textOf = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** Folders of one floor do not import each other. */
const FLOORS: readonly (readonly string[])[] = [
  ["machine"],
  ["trace"],
  ["kernel"],
  ["patches"],
  ["plot", "explore"],
  ["lab"],
  ["notebook"],
  ["cli", "repl"],
];

const folderOf = (file: string): string => file.split("/")[1];
const floorOf = (folder: string): number => FLOORS.findIndex((folders) => folders.includes(folder));

/** What a file imports or re-exports, type imports included. */
function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(textOf(file), true, true);
  return importedFiles.map(({ fileName }) => fileName);
}

/** The folders in which everything is the same each time, and which a browser can run. */
const PURE = ["machine", "trace", "kernel", "patches", "plot", "explore", "lab"];

/** The names that a file uses: of variables, and of members as `object.member`; not what stands in strings and comments. */
function namesIn(file: string): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) {
      if (ts.isIdentifier(node.expression)) names.add(`${node.expression.text}.${node.name.text}`);
      visit(node.expression);
      return;
    }
    if (ts.isIdentifier(node)) names.add(node.text);
    node.forEachChild(visit);
  };
  visit(ts.createSourceFile(file, textOf(file), ts.ScriptTarget.Latest));
  return names;
}

describe("floors (DESIGN.md section 2)", () => {
  it("every folder of src has a floor", () => {
    const folders = new Set(SOURCES.filter((file) => file.split("/").length > 2).map(folderOf));
    expect([...folders].filter((folder) => floorOf(folder) < 0)).toEqual([]);
  });

  it("a file imports from its own folder and from lower floors only", () => {
    const wrong: string[] = [];
    for (const file of SOURCES) {
      const floor = floorOf(folderOf(file));
      // src/index.ts is the roof: it imports from all.
      if (floor < 0) continue;
      for (const name of importsOf(file)) {
        if (!name.startsWith(".")) continue;
        const target = normalize(join(dirname(file), name));
        if (!target.startsWith("src/") || folderOf(target) === folderOf(file)) continue;
        const below = target.split("/").length > 2 ? floorOf(folderOf(target)) : FLOORS.length;
        if (below < 0 || below >= floor) wrong.push(`${file} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("src/machine knows nothing of Linux", () => {
    const linux =
      /\b(linux|kswapd|ext4|PG_\w+|pfn|inode|gup|mmap|lru|vmstat|PageDirty|trylock_page|buffer_head)\b/i;
    const known = SOURCES.filter((file) => folderOf(file) === "machine")
      .map((file) => [file, linux.exec(textOf(file))?.[0]])
      .filter(([, word]) => word !== undefined);
    expect(known).toEqual([]);
  });
});

describe("determinism and portability", () => {
  it("nothing below the notebooks reads a clock or draws a number but from a seed", () => {
    const chance = ["Math.random", "Date", "performance", "crypto", "Intl"];
    const found = SOURCES.filter((file) => PURE.includes(folderOf(file))).flatMap((file) => {
      const names = namesIn(file);
      return chance.filter((name) => names.has(name)).map((name) => `${file} uses ${name}`);
    });
    expect(found).toEqual([]);
  });

  it("the simulator, the explorer and the figures use nothing of Node", () => {
    // Packages that do not, either.
    const portable = ["diff", "d3-sankey", "@dagrejs/dagre"];
    const found: string[] = [];
    for (const file of SOURCES.filter((name) => PURE.includes(folderOf(name)))) {
      for (const name of importsOf(file))
        if (!name.startsWith(".") && !portable.includes(name)) found.push(`${file} imports ${name}`);
      const names = namesIn(file);
      for (const node of ["process", "Buffer", "__dirname", "require"])
        if (names.has(node)) found.push(`${file} uses ${node}`);
    }
    expect(found).toEqual([]);
  });
});

/** The declarations that src/index.ts exports, where they are declared. */
function publicDeclarations(): { name: string; declaration: ts.Declaration; program: ts.Program }[] {
  const index = join(ROOT, "src/index.ts");
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const program = ts.createProgram([index], { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(index);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error("src/index.ts is no module");
  return checker.getExportsOfModule(module).flatMap((symbol) => {
    const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    return (real.declarations ?? []).map((declaration) => ({ name: symbol.name, declaration, program }));
  });
}

describe("readability", () => {
  it("every public function and class has a docstring", () => {
    const bare = publicDeclarations()
      .filter(({ declaration }) => {
        const { kind } = declaration;
        const isFunction =
          kind === ts.SyntaxKind.FunctionDeclaration ||
          kind === ts.SyntaxKind.ClassDeclaration ||
          (ts.isVariableDeclaration(declaration) &&
            declaration.initializer !== undefined &&
            ts.isArrowFunction(declaration.initializer));
        return isFunction && ts.getJSDocCommentsAndTags(declaration).length === 0;
      })
      .map(({ name, declaration }) => `${relative(ROOT, declaration.getSourceFile().fileName)}: ${name}`);
    expect(bare).toEqual([]);
  });

  it("every file says in its first lines what it is", () => {
    const bare = SOURCES.filter((file) => !/^(#!.*\n)?\/(\*\*|\/)/.test(textOf(file)));
    expect(bare).toEqual([]);
  });

  it("no file is longer than 900 lines", () => {
    const long = SOURCES.filter((file) => textOf(file).split("\n").length > 900);
    expect(long).toEqual([]);
  });

  it("nothing is left to do, and nothing is skipped", () => {
    const words = /\b(TODO|FIXME|XXX)\b|\b(it|describe|test)\.(skip|only|todo)\b/;
    const files = [...SOURCES, ...filesOf("test")].filter((file) => file !== "test/tidy.test.ts");
    expect(files.filter((file) => words.test(textOf(file)))).toEqual([]);
  });
});

describe("README.md", () => {
  it("names files and folders that exist", () => {
    const readme = textOf("README.md");
    const named = [...readme.matchAll(/`((?:src|test|notebooks|data|\.ci)\/[\w./-]*)`/g)].map(
      ([, name]) => name,
    );
    const links = [...readme.matchAll(/\]\((?!https?:|#)([^)\s#]+)/g)].map(([, name]) => name);
    const missing = [...new Set([...named, ...links])].filter((name) => {
      try {
        readdirSync(join(ROOT, name));
        return false;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === "ENOENT";
      }
    });
    expect(missing).toEqual([]);
  });
});
