/**
 * The claims of the article and of its comments, in their order: data for article.ts.
 *
 * Quotes are from "DMA and get_user_pages()", Jake Edge, LWN, 12 December 2018 (CC BY-SA 4.0), and from the comments below it.
 */
import type { Claim, ClaimSearch } from "./article.js";

/** As many states as W1 has, and its relatives: every interleaving. */
const WHOLE = 3_500_000;

const on = (
  kernel: string,
  scenario: string,
  finds: ClaimSearch["finds"],
  maxStates?: number,
): ClaimSearch => ({
  scenario,
  kernel,
  finds,
  ...(maxStates === undefined ? {} : { maxStates }),
});
const base = (scenario: string, finds: ClaimSearch["finds"], maxStates?: number): ClaimSearch =>
  on("v4.20", scenario, finds, maxStates);

const LAYOUT = "test/lab/page_layout.test.ts";
const NUMBERS = "test/lab/fio.test.ts";

export const CLAIMS: readonly Omit<Claim, "nr">[] = [
  {
    who: "LWN",
    quote: "multiple parts of the kernel think they have responsibility",
    claim:
      "Several parts of the kernel each take themselves for the owner of the same memory, and do not coordinate; things go wrong.",
    shows: { searches: [base("kara-2018", "BUG")] },
  },
  {
    who: "Hubbard",
    quote: "not that difficult to crash the kernel using a common code pattern",
    claim: "get_user_pages, DMA, set_page_dirty, put_page: the common pattern crashes the kernel.",
    shows: { searches: [base("W1", "BUG"), base("W4", "BUG")] },
  },
  {
    who: "Hubbard",
    quote: "the problem exists for all DMA operations",
    claim: "It is no matter of RDMA: GPUs, cameras, network cards and O_DIRECT have it too.",
    shows: {
      searches: ["rdma", "amdgpu", "video", "xdp", "aio"].map((holder) => base(`W1,holder=${holder}`, "BUG")),
    },
  },
  {
    who: "Hubbard",
    quote: "backed by a non-RAM-based filesystem, things can go awry",
    claim: "It needs a filesystem on a disk: with a file in memory nothing happens.",
    shows: { searches: [base("W1", "WARN"), base("W1,fs=tmpfs", "safe"), base("kara-2018-tmpfs", "safe")] },
  },
  {
    who: "Hubbard",
    quote: 'has been "known" to be reasonable since 2005 or so',
    claim: "What everybody takes for correct is broken: it crashes, loses what a device wrote, and tears it.",
    shows: { searches: [base("W1", "BUG"), base("W5", "LOST"), base("W6", "TORN")] },
  },
  {
    who: "LWN",
    quote: "page buffers can be stripped off while the page is pinned",
    claim: "A pinned page loses its buffers during the transfer; ext4 warns when such a page is dirtied.",
    shows: { searches: [base("kara-2018", "WARN")] },
  },
  {
    who: "LWN",
    quote: "expecting that the page buffers are still there",
    claim: "The driver dirties the page again, and the next writeback asks for buffers that are gone.",
    shows: { searches: [base("kara-2018", "BUG")] },
  },
  {
    who: "LWN",
    quote: "unaware that a page can be marked dirty outside of its purview",
    claim:
      "The filesystem does not expect pages to become dirty but through itself; what is dirtied behind its back can be lost.",
    shows: { searches: [base("W1,fs=btrfs", "LOST"), base("W1", "WARN")] },
  },
  {
    who: "Hubbard",
    quote: "DMA to file-backed memory is not truly supported by Linux",
    claim: "Each thing that a program could rely on fails: no crash, fsync, stable pages, truncation.",
    shows: { searches: [base("W4", "BUG"), base("W5", "LOST"), base("W6", "TORN"), base("W7", "STALE")] },
  },
  {
    who: "Hubbard",
    quote: "reclaim thinks it is going to get further than it does",
    claim:
      "Reclaim frees the buffers first, finds the reference of get_user_pages after that, and backs out.",
    shows: { searches: [base("kara-2018", "BUG")], tests: ["test/lab/reclaim.test.ts"] },
  },
  {
    who: "Williams",
    quote: "if reclaim stays out of the way, everything works just fine",
    claim:
      "Without reclaim nothing goes wrong. (An O_DIRECT write of the file, which invalidates its cache, strips buffers too.)",
    shows: {
      searches: [
        base("kara-2018-quiet", "safe"),
        base("W1,strip=none", "safe"),
        base("W1,strip=diowrite", "safe"),
      ],
    },
  },
  {
    who: "Williams",
    quote: "occur when reclaim gets to the pages before the driver does",
    claim: "What matters is that reclaim comes before the driver marks the page dirty.",
    shows: { searches: [base("kara-2018", "BUG")], tests: ["test/explore/kara_2018.test.ts"] },
  },
  {
    who: "Gorman",
    quote: "page_mkwrite() will be called before a page can be marked dirty",
    claim:
      "Filesystems count on page_mkwrite: a store of the CPU between the strip and the driver's dirtying, which calls it, heals the page.",
    shows: { searches: [base("kara-2018-touch", "safe", WHOLE)] },
  },
  {
    who: "Gorman",
    quote: "the filesystem thinks it is safe to get rid of the buffers",
    claim:
      "The page may be dirty when reclaim comes, as the device has written to it, and the filesystem takes it for clean.",
    shows: { searches: [base("W1", "WARN")] },
  },
  {
    who: "Gorman",
    quote: "dirty is not really a binary state",
    claim:
      "There are many dirty bits (PTE, page, tag, buffers, and what a device wrote and nobody said), and they disagree.",
    shows: { searches: [base("W5", "LOST")], tests: ["test/plot/figures.test.ts"] },
  },
  {
    who: "an attendee",
    quote: "does it occur every day, week, or month?",
    claim: "How often it happens: a question of the times of device, flusher and reclaim.",
    shows: { rates: [{ scenario: "kara-2018", times: { dma: "1ms", kswapd: "1s" }, pinned: 64 }] },
  },
  {
    who: "Hubbard",
    quote: "it is reliably reproducible for him",
    claim: "Whoever provokes it meets it soon.",
    shows: { searches: [base("kara-2018", "BUG")], tests: ["test/explore/walk.test.ts"] },
  },
  {
    who: "an attendee",
    quote: "then it fails when it is deployed in a more stressful scenario",
    claim: "Rare in the lab, frequent under pressure.",
    shows: {
      rates: [{ scenario: "kara-2018", times: { dma: "1ms", kswapd: "100ms" }, pinned: 64 }],
    },
  },
  {
    who: "Hubbard",
    quote: '"make a note" in the page structure',
    claim: "get_user_pages notes in struct page that it was there. The note alone changes no outcome.",
    shows: {
      searches: [on("v4.20+kara-count-2018", "W1", "BUG")],
      proposals: ["kara-count-2018", "hubbard-put-user-page-2018"],
    },
  },
  {
    who: "LWN",
    quote: "struct page is full",
    claim: "No word of struct page is free in every use that a page can have.",
    shows: { tests: [LAYOUT] },
  },
  {
    who: "Wilcox, Hubbard",
    quote: "the LRU next and previous pointers in struct page",
    claim: "The two words of the LRU list could hold a flag and a count, if pinned pages leave the list.",
    shows: {
      searches: [on("v4.20+hubbard-lru-2018", "W2", "safe"), on("v4.20+hubbard-lru-2018", "W1", "safe")],
      proposals: ["hubbard-lru-v1-2018", "hubbard-lru-2018"],
      tests: ["test/patches/proposals/hubbard_lru.test.ts"],
    },
  },
  {
    who: "Hubbard",
    quote: "new put_user_page*() calls that will call put_page()",
    claim: "Who puts what get_user_pages gave says so, by another call.",
    shows: {
      searches: [on("v4.20+hubbard-put-user-page-2018", "W1", "BUG")],
      proposals: ["hubbard-put-user-page-2018"],
    },
  },
  {
    who: "LWN",
    quote: "around 100 other places that need to be converted",
    claim: "Every caller has to be converted, and one that is missed is counted wrongly for ever.",
    shows: {
      searches: [on("v4.20+kara-count-2018", "W14,how=forget", "LEAK")],
      proposals: ["hubbard-put-user-page-2018", "kara-count-2018"],
      tests: ["test/patches/proposals/put_user_page.test.ts"],
    },
  },
  {
    who: "Williams",
    quote: "he is using the LRU pointers in DAX",
    claim: "DAX has something else in these words, and so has HMM: two users of one word.",
    shows: { tests: [LAYOUT] },
  },
  {
    who: "Wilcox",
    quote: "there's going to be space for both of you",
    claim: "ZONE_DEVICE pages have words to spare, beside the ones in dispute.",
    shows: { tests: [LAYOUT] },
  },
  {
    who: "Hubbard",
    quote: "nothing stops users from doing it, as they have since 2005",
    claim: "v4.20 refuses no long-term pin of a file on a disk. Since v6.5 it is refused.",
    shows: { searches: [base("W4", "BUG"), on("2026", "W4", "REFUSED")] },
  },
  {
    who: "Morton, Hubbard",
    quote: "assertion into the code that will trigger if put_user_pages() has not",
    claim:
      "An assertion in put_page could find call sites that were not converted; it takes a bit in struct page.",
    shows: {
      searches: [
        on("v4.20+morton-assertion-2018", "W14,how=put", "WARN"),
        on("v4.20+morton-assertion-2018", "W14,how=forget", "WARN"),
      ],
      proposals: ["morton-assertion-2018"],
      tests: ["test/patches/proposals/put_user_page.test.ts"],
    },
  },
  {
    who: "LWN",
    quote: "a dummy put_user_page() that simply does a put_page()",
    claim: "The first patches change nothing: every interleaving is as before.",
    shows: {
      searches: [base("W1", "BUG", WHOLE), on("v4.20+hubbard-put-user-page-2018", "W1", "BUG", WHOLE)],
      proposals: ["hubbard-put-user-page-2018"],
    },
  },
  {
    who: "LWN",
    quote: "Once you have that information, you need to do something with it",
    claim: "To know which pages are pinned prevents nothing.",
    shows: {
      searches: [on("v4.20+kara-count-2018", "W1", "BUG"), on("v4.20+kara-count-2018", "W5", "LOST")],
      proposals: ["kara-count-2018"],
    },
  },
  {
    who: "LWN",
    quote: "can be done by holding off try_to_unmap() for those pages",
    claim: "If pinned pages are not unmapped, their buffers stay, and it does not crash.",
    shows: {
      searches: [
        on("v4.20+hubbard-ttu-2018", "W1", "safe"),
        on("v4.20+hubbard-ttu-serialised-2018", "W1", "safe", WHOLE),
        on("v4.20+kara-keep-mapped-2018", "W1", "safe", WHOLE),
      ],
      proposals: [
        "hubbard-ttu-2018",
        "hubbard-ttu-serialised-2018",
        "kara-ttu-2018",
        "kara-keep-mapped-2018",
      ],
      tests: ["test/patches/proposals/hubbard_ttu_2018.test.ts"],
    },
  },
  {
    who: "filesystem developers",
    quote: "holding pages in that state is not a good idea",
    claim: "Writeback that waits for pins waits as long as somebody likes, with locks that others need.",
    shows: {
      searches: [
        on("v4.20+hubbard-mkclean-2018", "W2", "HANG"),
        on("v4.20+hubbard-mkclean-2018", "W5", "HANG"),
      ],
      proposals: ["hubbard-mkclean-2018", "kara-keep-mapped-2018"],
      tests: ["test/patches/proposals/hubbard_mkclean_2018.test.ts"],
    },
  },
  {
    who: "Kara and others",
    quote: "allow writeback, but do it with bounce buffers",
    claim: "Pinned pages could be written from a copy.",
    shows: {
      searches: [
        on("v4.20+kara-bounce-2018", "W6", "safe"),
        on("v4.20+kara-bounce-2018", "W1", "safe", WHOLE),
      ],
      proposals: ["kara-bounce-2018", "kara-bounce-dirty-2018", "kara-bounce-2023"],
      tests: ["test/patches/proposals/bounce_pinned.test.ts"],
    },
  },
  {
    who: "Williams",
    quote: '"you are screwed", at least for DAX',
    claim:
      "Truncation under a pin cannot be survived, at least on DAX. (v4.20's DAX waits, since v4.18; the page cache lets the device write into the void.)",
    shows: { searches: [base("W7", "STALE"), base("W8", "UAF")] },
  },
  {
    who: "Glisse",
    quote: "there are some things that cannot be revoked",
    claim: "A device that cannot stop keeps its memory for ever.",
    shows: { searches: [base("W17,device=endless", "HANG")] },
  },
  {
    who: "Wilcox",
    quote: "NVMe, which has a command to cancel outstanding I/O",
    claim: "NVMe has a command to cancel that most controllers lack; what helps then is a reset.",
    shows: {
      searches: [
        base("W17,device=abortable", "safe"),
        base("W17,device=stuck", "safe"),
        base("W17,device=dead", "safe"),
      ],
      tests: ["test/kernel/drivers/nvme.test.ts"],
    },
  },
  {
    who: "Wilcox",
    quote: "cannot be reused until the hardware says it won't DMA there",
    claim:
      "Memory that is given back before the device has ended is written by it when it is somebody else's.",
    shows: { searches: [base("W14,how=early", "UAF"), base("W14,how=early", "INFOLEAK")] },
  },
  {
    who: "Williams, an attendee",
    quote: "for some devices that wait might be forever",
    claim: "A revoke that waits for the device may wait for ever.",
    shows: {
      searches: [on("v4.20+williams-revoke-2018", "W17,device=endless", "HANG")],
      proposals: ["williams-revoke-2018", "williams-revoke-try-2018", "wilcox-revoke-reset-2018"],
    },
  },
  {
    who: "Williams",
    quote: "some drivers don't really know whether their pages have come from",
    claim:
      "Some who put pages do not know where they are from: of a pipe's pages vmsplice took some by get_user_pages, and splice others from the cache.",
    shows: {
      proposals: ["hubbard-put-user-page-2018", "kara-count-2018"],
      tests: ["test/lab/article.test.ts"],
    },
  },
  {
    who: "Wilcox",
    quote: "put_page() could simply do the right thing",
    claim: "With a permanent bit for pinned pages no call site need change.",
    shows: {
      searches: [
        on("v4.20+wilcox-bit-2018+kara-keep-mapped-2018", "W1", "safe", WHOLE),
        on("v4.20+wilcox-bit-sticky-2018+kara-keep-mapped-2018", "W1", "safe", WHOLE),
      ],
      proposals: ["wilcox-bit-2018", "wilcox-bit-sticky-2018"],
      tests: ["test/patches/proposals/notes.test.ts"],
    },
  },
  {
    who: "LWN",
    quote: "no way to know that any given put_page() is the one",
    claim:
      "put_page cannot know whether it drops the driver's reference: a bit is cleared too early or never.",
    shows: {
      searches: [on("v4.20+wilcox-bit-2018+kara-keep-mapped-2018", "W1", "BUG", WHOLE)],
      proposals: ["wilcox-bit-2018", "wilcox-bit-sticky-2018"],
      tests: ["test/patches/proposals/notes.test.ts"],
    },
  },
  {
    who: "an attendee (Talpey)",
    quote: "the numbers were orders of magnitude lower",
    claim: "The printed numbers are too low to show what the patches cost.",
    shows: { tests: [NUMBERS] },
  },
  {
    who: "LWN",
    quote: "once it was resolved, though, the impact still is minimal",
    claim: "There was a measurement problem; without debug options the cost is small.",
    shows: { tests: [NUMBERS] },
  },
  {
    who: "Williams",
    quote: "DAX could simply fail any attempt to use its memory",
    claim: "Long-term pins are a kind of their own so that DAX can refuse them.",
    shows: { searches: [base("W9", "REFUSED"), base("W9", "safe")] },
  },
  {
    who: "Williams",
    quote: "video-offload devices, that also pin memory forever",
    claim:
      "RDMA is not alone. (v4.20 refuses DAX memory to a camera for another reason, and lets AF_XDP have it for as long as it likes.)",
    shows: { searches: [base("W9,holder=video", "REFUSED"), base("W9,holder=xdp", "safe")] },
  },
  {
    who: "Williams",
    quote: "file leases could provide a model for handling the problem",
    claim: "A truncation could take the memory away by breaking a lease.",
    shows: {
      searches: [
        on("v4.20+weiny-leases-2019+lease-user-2019", "W8,holder=rdma", "safe"),
        on("v4.20+williams-lease-acts-2018+lease-user-2019", "W8,holder=rdma", "safe"),
      ],
      proposals: ["weiny-leases-2019", "williams-lease-acts-2018", "chinner-exclusive-lease-2019"],
      tests: ["test/patches/proposals/leases.test.ts"],
    },
  },
  {
    who: "Gunthorpe",
    quote: "simply failing the truncation operation when the memory is in use",
    claim:
      "Truncation of pinned pages fails. (To look is not enough: only under the page lock does nobody come between.)",
    shows: {
      searches: [
        on("v4.20+gunthorpe-fail-truncate-2018", "W7", "safe"),
        on("v4.20+gunthorpe-fail-truncate-lock-2018", "W7", "safe"),
      ],
      proposals: [
        "gunthorpe-fail-truncate-2018",
        "gunthorpe-fail-truncate-unmap-2018",
        "gunthorpe-fail-truncate-lock-2018",
      ],
      tests: ["test/patches/proposals/fail_truncate.test.ts"],
    },
  },
  {
    who: "Wilcox",
    quote: "other kernel developers will not allow it",
    claim: "A truncation that fails because somebody holds a page is not what programs expect.",
    shows: {
      searches: [on("v4.20+gunthorpe-fail-truncate-lock-2018", "W7", "REFUSED")],
      proposals: ["gunthorpe-fail-truncate-2018"],
    },
  },
  {
    who: "Harrosh",
    quote: "DMA users take out a range lock for the part",
    claim: "Who does DMA could lock the part of the file.",
    shows: {
      searches: ["W1", "W7", "W8"].map((workload) => on("v4.20+harrosh-range-lock-2018", workload, "safe")),
      proposals: ["harrosh-range-lock-2018"],
    },
  },
  {
    who: "Williams, Wilcox",
    quote: 'cannot "rewrite the universe"',
    claim: "Not everybody can be made to take a range lock, and it costs too much.",
    shows: {
      searches: [on("v4.20+harrosh-range-lock-2018", "W5", "HANG")],
      proposals: ["harrosh-range-lock-2018"],
    },
  },
  {
    who: "Wilcox",
    quote: "writeback would never find them, so the crash cannot occur",
    claim: "Pages off the LRU list are not found by writeback, so it cannot crash.",
    shows: {
      searches: [
        on("v4.20+hubbard-lru-2018", "W1", "safe"),
        on("v4.20+hubbard-lru-2018", "W1,strip=diowrite", "safe"),
        on("v4.20+hubbard-lru-2018", "W3", "safe"),
      ],
      proposals: ["hubbard-lru-2018"],
      tests: ["test/patches/proposals/hubbard_lru.test.ts"],
    },
  },
  {
    who: "LWN",
    quote: "the RDMA developers seemed willing to try to handle being told",
    claim:
      "RDMA could live with being told, in exceptional cases, that its memory goes away. To be told is not to have let go.",
    shows: {
      searches: [on("v4.20+rdma-told-2018", "W7", "STALE")],
      proposals: ["rdma-told-2018"],
      tests: ["test/patches/proposals/wait_truncate.test.ts"],
    },
  },
  {
    who: "willy (comment)",
    quote: "debug options are your friend unless you're doing performance measurements",
    claim: "The odd numbers came from a kernel with debugging options.",
    shows: { tests: [NUMBERS] },
  },
  {
    who: "willy (comment)",
    quote: "This also happens with O_DIRECT",
    claim: "No fancy device is needed: O_DIRECT pins its pages, too.",
    shows: { searches: [base("W1,holder=dio", "BUG"), base("W1,holder=iomap", "BUG")] },
  },
  {
    who: "nybble41 (comment)",
    quote: "keeping the space reserved until the DMA is finished",
    claim:
      "A file can be truncated at once if its blocks are freed when the pin ends, as those of a deleted open file are.",
    shows: {
      searches: [
        on("v4.20+nybble41-defer-free-2018", "W8", "safe"),
        on("v4.20+nybble41-defer-free-2018", "W8,holder=rdma", "safe"),
      ],
      proposals: ["nybble41-defer-free-2018"],
      tests: ["test/patches/proposals/defer_free.test.ts"],
    },
  },
  {
    who: "djbw (comment)",
    quote: "a solution that could be done generically across filesystems",
    claim:
      "Waiting for busy pages needs no filesystem's help: dax_layout_busy_page does it for ext4 and xfs, if it unmaps before it looks.",
    shows: {
      searches: [base("W8", "safe"), base("W8,fs=xfs_dax", "safe"), on("v4.20+dax-look-first", "W8", "UAF")],
      proposals: ["dax-look-first", "williams-wait-truncate-2018"],
    },
  },
  {
    who: "jan.kara (comment)",
    quote: "You need work in each filesystem to keep track",
    claim:
      "Blocks that are kept must be freed after a crash: work, and a change of the format, for each filesystem.",
    shows: {
      searches: [
        on("v4.20+kara-defer-disk-2018", "W8,power-cut=yes", "LEAK"),
        on("v4.20+kara-defer-orphans-2018", "W8,power-cut=yes", "safe"),
      ],
      proposals: ["kara-defer-disk-2018", "kara-defer-orphans-2018"],
      tests: ["test/patches/proposals/defer_free.test.ts"],
    },
  },
  {
    who: "jan.kara (comment)",
    quote: "pinned but truncated blocks will be invisible to most tools",
    claim: "An administrator does not see where his space is.",
    shows: {
      proposals: ["nybble41-defer-free-2018"],
      tests: ["test/patches/proposals/defer_free.test.ts"],
    },
  },
  {
    who: "nybble41 (comment)",
    quote: 'separate record in RAM of nominally "free" blocks',
    claim:
      "The disk can say that blocks are free while memory remembers that they are not: no new format, nothing to recover.",
    shows: {
      searches: [on("v4.20+nybble41-defer-free-2018", "W8,power-cut=yes", "safe")],
      proposals: ["nybble41-defer-free-2018"],
      tests: ["test/patches/proposals/defer_free.test.ts"],
    },
  },
];
