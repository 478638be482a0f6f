/**
 * Tasks that could be exchanged: that run the same program with the same arguments, but for arrays of pages of their own, which are exchanged
 * with them. Two threads of one program that read into one buffer are two readers, two disks and two arrays: the two readers take each
 * other's place, and so do the disks, and so do the arrays.
 *
 * What is found here is a guess: the search compares what a task does with what the other one does in its place (explore/symmetry.ts). The
 * cells that name a task or an array must be known for that to come out: the schema says so (ColumnSpec.names, Struct.per), and the
 * arguments of programs by their kinds.
 */
import type { Moved, Renaming } from "../explore/symmetry.js";
import { dio_nr, pages_nr } from "../kernel/types.js";
import type { Running } from "../machine/machine.js";
import { kernel_stack, type Machine, type TaskSpec, task_struct } from "../machine/machine.js";
import type { Cell } from "../machine/memory.js";

/** More renamings than these cost more than they save. */
const MOST = 24;

const ARRAYS: readonly string[] = [pages_nr.kind, dio_nr.kind];

/** What each task is called, and each array of pages. */
interface Names {
  readonly tasks: readonly number[];
  readonly arrays: readonly number[];
}

type Lists<K extends Running> = Pick<Machine<K>, "image" | "tasks">;

/** Whether the arguments of a task, with arrays by other names, are those of another one. */
function isAlike<K extends Running>(
  { image }: Lists<K>,
  one: TaskSpec,
  other: TaskSpec,
  called: (array: number) => number,
): boolean {
  if (one.program !== other.program || one.daemon !== other.daemon) return false;
  const kinds = Object.values(image.programs[one.program].args);
  return one.args.every(
    (arg, at) => (ARRAYS.includes(kinds[at].kind) ? called(arg) : arg) === other.args[at],
  );
}

/** The exchange of two tasks, with all that has to be exchanged with them; null where they are not alike. */
function exchange<K extends Running>(
  machine: Lists<K>,
  one: number,
  other: number,
  arrayCount: number,
): Names | null {
  const { image, tasks } = machine;
  const [a, b] = [tasks[one], tasks[other]];
  if (a.program !== b.program) return null;
  const arrays = Array.from({ length: arrayCount }, (_, array) => array);
  Object.values(image.programs[a.program].args).forEach(({ kind }, at) => {
    if (!ARRAYS.includes(kind)) return;
    arrays[a.args[at]] = b.args[at];
    arrays[b.args[at]] = a.args[at];
  });
  const called = (array: number): number => arrays[array];
  if (!isAlike(machine, a, b, called) || !isAlike(machine, b, a, called)) return null;
  const names: number[] = [];
  for (const [task, spec] of tasks.entries()) {
    const wanted = task === one ? other : task === other ? one : null;
    const stays = wanted === null && isAlike(machine, spec, spec, called);
    const name =
      wanted ??
      (stays ? task : tasks.findIndex((each) => each !== spec && isAlike(machine, spec, each, called)));
    if (name < 0) return null;
    names.push(name);
  }
  return new Set(names).size === tasks.length ? { tasks: names, arrays } : null;
}

const after = (first: Names, then: Names): Names => ({
  tasks: first.tasks.map((task) => then.tasks[task]),
  arrays: first.arrays.map((array) => then.arrays[array]),
});

/** All that comes of making some exchanges one after the other, in the order in which it is found; the first changes nothing. */
function groupOf(exchanges: readonly Names[], nothing: Names): Names[] {
  const group = [nothing];
  const known = new Set([nothing.tasks.join()]);
  for (const each of group)
    for (const next of exchanges.map((one) => after(each, one))) {
      if (known.has(next.tasks.join())) continue;
      known.add(next.tasks.join());
      group.push(next);
      if (group.length > MOST) return group;
    }
  return group;
}

/** What a renaming does to the cells of a machine. */
function movedCells<K extends Running>(
  machine: Machine<K>,
  cells: readonly Cell[],
  { tasks, arrays }: Names,
): Moved[] {
  const place = new Map(cells.map(({ struct, field, row }, at) => [`${struct.id} ${field} ${row}`, at]));
  const rowsOf = new Map<string, number>();
  for (const { struct, field } of cells)
    rowsOf.set(`${struct.id} ${field}`, (rowsOf.get(`${struct.id} ${field}`) ?? 0) + 1);
  /** The first word of each task's frames. */
  const base = new Map<number, number>();
  for (const cell of cells) {
    const owner = cell.struct.id === kernel_stack.id ? machine.ownerOf(cell) : -1;
    if (owner >= 0) base.set(owner, Math.min(base.get(owner) ?? cell.row, cell.row));
  }
  const array = (name: number): number => arrays[name] ?? name;
  const taskPlusOne = (value: number): number =>
    value >= 1 && value <= tasks.length ? tasks[value - 1] + 1 : value;
  const rowAndName = (cell: Cell): { row: number; says: Moved["says"] } => {
    const { struct, field, row } = cell;
    const { names } = struct.fields[field];
    const says =
      names === "task + 1"
        ? taskPlusOne
        : names === "-(task + 1)"
          ? (value: number): number => (value < 0 ? -taskPlusOne(-value) : value)
          : null;
    if (struct.id === task_struct.id) return { row: tasks[row], says };
    if (struct.id === kernel_stack.id) {
      const owner = machine.ownerOf(cell);
      const word = row - (base.get(owner) as number);
      const kinds = Object.values(machine.image.programs[machine.tasks[owner].program].args);
      const isArray = word < kinds.length && ARRAYS.includes(kinds[word].kind);
      return { row: (base.get(tasks[owner]) as number) + word, says: isArray ? array : null };
    }
    if (struct.per !== pages_nr.kind) return { row, says };
    const each = (rowsOf.get(`${struct.id} ${field}`) as number) / arrays.length;
    return { row: array(Math.floor(row / each)) * each + (row % each), says };
  };
  return cells.flatMap((cell, from) => {
    const { row, says } = rowAndName(cell);
    return row === cell.row && says === null
      ? []
      : [{ from, to: place.get(`${cell.struct.id} ${cell.field} ${row}`) as number, says }];
  });
}

/** Whether a renaming leaves the live state as it is. */
const leaves = (cells: readonly Cell[], moved: readonly Moved[]): boolean =>
  moved.every(({ from, to, says }) => {
    const value = cells[from].column[cells[from].row];
    return (says === null ? value : says(value)) === cells[to].column[cells[to].row];
  });

/**
 * The renamings that may change nothing: a group, but for the one that renames nothing. Of more than 24, some.
 *
 * @param arrays how many arrays of pages there are
 */
export function renamingsOf<K extends Running>(machine: Machine<K>, arrays: number): Renaming[] {
  const { tasks, memory } = machine;
  const cells = memory.cells();
  const nothing: Names = {
    tasks: tasks.map((_, task) => task),
    arrays: Array.from({ length: arrays }, (_, array) => array),
  };
  let exchanges: readonly Names[] = [];
  let group = [nothing];
  for (let one = 0; one < tasks.length; one++)
    for (let other = one + 1; other < tasks.length; other++) {
      const made = exchange(machine, one, other, arrays);
      if (made === null || !leaves(cells, movedCells(machine, cells, made))) continue;
      const larger = groupOf([...exchanges, made], nothing);
      if (larger.length > MOST) continue;
      exchanges = [...exchanges, made];
      group = larger;
    }
  return group.slice(1).map((names) => ({ tasks: names.tasks, cells: movedCells(machine, cells, names) }));
}
