/** struct page of one page of a world, as the figure tells it: whose each word is, what it holds, what proposals have put there. */
import type { Pfn } from "../kernel/types.js";
import type { Proposal } from "../patches/proposals/proposal.js";
import { page_lru_words } from "../patches/proposals/tracking.js";
import type { PageStory, PageWordStory, WordOwner } from "../plot/index.js";
import { HUBBARD_2018, type LiveWord, pageType, pageWords } from "./page_layout.js";
import { changesIn, GUP_TYPES, layoutIn, PAGE_WORDS, type PageLayout } from "./struct_page.js";
import type { World } from "./world.js";

/** A column that a proposal keeps of each page. */
interface Proposed {
  readonly proposal: string;
  readonly field: string;
  readonly holds: string;
  readonly value: number;
  /** The field in whose word it is; null when struct page grows. */
  readonly instead_of: string | null;
}

/** What the proposals of a kernel keep of a page. Hubbard's two words of 2018 are in pageWords already. */
const proposedOf = ({ k, kernel }: World, page: Pfn): readonly Proposed[] =>
  (kernel.patches as readonly Proposal[]).flatMap(({ name, page_words = [] }) =>
    page_words
      .filter(({ struct }) => struct !== page_lru_words && k.knows(struct))
      .flatMap(({ struct, instead_of }) =>
        Object.entries(struct.fields)
          // What is fixed for the whole machine is no page's.
          .filter(([, { kind }]) => kind === "state")
          .map(([field, { note }]) => ({
            proposal: name,
            field,
            holds: note,
            value: k.of(struct)[field][page],
            instead_of,
          })),
      ),
  );

const isHubbards = ({ word, field }: LiveWord): boolean =>
  HUBBARD_2018.some((claim) => claim.word === word && claim.field === field);

function ownerOf(live: LiveWord): WordOwner {
  if (isHubbards(live)) return "proposal";
  if (live.tenure === "never") return "never";
  if (!live.owned) return "free";
  return live.tenure === "always" ? "always" : "sometimes";
}

/** What a word is in pages of other types, each name once with the first type that has it. */
function elsewhereOf({ word, field }: LiveWord, layout: PageLayout): string[] {
  const names = new Map<string, string>();
  for (const type of GUP_TYPES) {
    const { field: other, tenure } = layout[type][word];
    if (other !== field && tenure !== "never" && !names.has(other)) names.set(other, type);
  }
  return [...names].map(([name, type]) => `${name} (${type})`);
}

type Said = Omit<PageWordStory, "before">;

/** The words of a page, with what proposals have put into them, and those by which struct page has grown. */
function wordsOf(world: World, page: Pfn): Said[] {
  const proposed = proposedOf(world, page);
  const layout = layoutIn(world.kernel.name);
  const own = pageWords(world.k, page, world.kernel.name).map((live): Said => {
    const guests = proposed.filter(
      ({ instead_of }) => instead_of !== null && live.field.includes(instead_of),
    );
    const told = guests.map(({ field, value, proposal }) => `${field} ${value} (${proposal})`);
    const { value, lost, holds } = live;
    return {
      word: live.word,
      field: live.field,
      owner: guests.some((guest) => guest.value !== 0) ? "proposal" : ownerOf(live),
      holds: lost === undefined ? holds : `written over ${lost}`,
      value: [...(value === "" ? [] : [value]), ...told].join("; "),
      elsewhere: elsewhereOf(live, layout),
    };
  });
  const grown = proposed
    .filter(({ instead_of }) => instead_of === null)
    .map(
      ({ field, holds, value, proposal }, at): Said => ({
        word: PAGE_WORDS + at,
        field,
        owner: "proposal",
        holds,
        value: `${value} (${proposal})`,
        elsewhere: [],
      }),
    );
  return [...own, ...grown];
}

/** What a word said, field and value; one field of a word is not said twice. */
const saidBy = ({ field, value, owner }: Said, now: Said): string => {
  const what = value === "" ? (owner === "never" ? "nobody's" : "free") : value;
  return field === now.field ? what : `${field}: ${what}`;
};

/** Since which release struct page has been as it is shown, and what is uncertain of that. */
function layoutOf(kernel: string): string {
  const last = changesIn(kernel).at(-1);
  if (last === undefined) return "The words are as in v4.20.";
  const doubt = last.uncertain === undefined ? "" : ` (uncertain: ${last.uncertain})`;
  return `The words are as since ${last.release}${doubt}.`;
}

/**
 * struct page of a page in a world, beside what it was in an earlier world of the same run.
 *
 * @param then the earlier one; null: nothing is compared
 */
export function pageStory(world: World, page: Pfn, then: World | null): PageStory {
  const before = then === null ? [] : wordsOf(then, page);
  const words = wordsOf(world, page).map((now, at): PageWordStory => {
    const was = before[at];
    const same = was === undefined || (was.field === now.field && was.value === now.value);
    return { ...now, before: same ? null : saidBy(was, now) };
  });
  return {
    pfn: page,
    type: pageType(world.k, page),
    tick: world.k.tick,
    since: then === null ? null : then.k.tick,
    words,
    layout: layoutOf(world.kernel.name),
    run: `${world.name} on ${world.kernel.name}`,
    replay: world.replay,
  };
}
