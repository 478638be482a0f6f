/**
 * kswapd: the daemon that reclaims when memory gets short, and sleeps while there is enough.
 *
 * Source: mm/vmscan.c in v4.20 (balance_pgdat, kswapd_try_to_sleep, kswapd); what it does to pages is in mm/vmscan.ts. Left out, as
 * there: orders above 0, boosted watermarks, memory cgroups.
 */
import {
  call,
  config,
  given,
  goto,
  label,
  local,
  path,
  pause,
  repeat,
  step,
  wait,
  when,
} from "../language.js";
import { int } from "../types.js";
import {
  finish_wait,
  kswapd_woken,
  node,
  pgdat_balanced,
  prepare_kswapd_sleep,
  prepare_to_wait,
} from "./mmzone.js";
import { begin, DEF_PRIORITY, end, KSWAPD, sc } from "./scan_control.js";
import { call_shrink_node, kswapd_nr_to_reclaim } from "./vmscan.js";
import { snapshot_refaults } from "./workingset.js";

/** It is done for now: active pages are protected again, until more pages refault. */
const note_refaults = config<Record<never, never>>("workingset", [
  step("snapshot_refaults", (k) => snapshot_refaults(k)),
]);

/** One run of kswapd: passes at falling priority until enough is free. */
export const balance_pgdat = path("balance_pgdat", { source: "mm/vmscan.c v4.20" }, [
  local((k) => {
    begin(k, KSWAPD);
    k.count("pageoutrun");
  }),
  label("priority"),
  when("pgdat_balanced", (k) => pgdat_balanced(k), [goto("out")]),
  local((k) => {
    const { priority, may_writepage, nr_scanned } = sc(k);
    if (priority[KSWAPD] < DEF_PRIORITY - 2) may_writepage[KSWAPD] = 1;
    nr_scanned[KSWAPD] = 0;
  }),
  call_shrink_node(),
  local((k) => {
    const { priority, nr_scanned, nr_reclaimed, nr_before } = sc(k);
    const raise_priority = nr_scanned[KSWAPD] < kswapd_nr_to_reclaim(k);
    if (raise_priority || nr_reclaimed[KSWAPD] === nr_before[KSWAPD]) priority[KSWAPD]--;
  }),
  given((k) => sc(k).priority[KSWAPD] >= 1, [goto("priority")]),
  given(
    (k) => sc(k).nr_reclaimed[KSWAPD] === 0,
    [
      step("kswapd_failures++", (k) => {
        node(k).kswapd_failures[0]++;
      }),
    ],
  ),
  label("out"),
  note_refaults,
  local((k) => end(k, KSWAPD)),
]);

/** Sleep until woken, if the node is balanced and stays so for a while. */
const kswapd_try_to_sleep = path(
  "kswapd_try_to_sleep",
  { source: "mm/vmscan.c v4.20", locals: { asleep: int, remaining: int } },
  [
    step("prepare_to_wait", (k) => prepare_to_wait(k)),
    step("prepare_kswapd_sleep", (k, f) => {
      f.asleep = prepare_kswapd_sleep(k) ? 1 : 0;
    }),
    given(
      (_, f) => f.asleep === 1,
      [
        // A nap first: is the node still balanced after it?
        pause("schedule_timeout"),
        step("finish_wait", (k, f) => {
          f.asleep = 0;
          f.remaining = kswapd_woken(k) ? 1 : 0;
          prepare_to_wait(k);
        }),
      ],
    ),
    given(
      (_, f) => f.remaining === 0,
      [
        step("prepare_kswapd_sleep", (k, f) => {
          f.asleep = prepare_kswapd_sleep(k) ? 1 : 0;
        }),
      ],
    ),
    given(
      (_, f) => f.asleep === 1,
      [
        wait(
          "schedule",
          (k) => kswapd_woken(k),
          (k) => finish_wait(k),
        ),
      ],
      [
        step("finish_wait", (k, f) => {
          k.count(f.remaining === 1 ? "kswapd_low_wmark_hit_quickly" : "kswapd_high_wmark_hit_quickly");
          finish_wait(k);
        }),
      ],
    ),
  ],
);

/** The reclaim daemon: without watermarks it wakes whenever the scheduler lets it, makes a pass, sleeps. */
export const kswapd = path("kswapd", { source: "mm/vmscan.c v4.20" }, [
  repeat(
    () => true,
    [
      config(
        "watermarks",
        [call(() => kswapd_try_to_sleep, {}), call(() => balance_pgdat, {})],
        [pause("kswapd_try_to_sleep"), call_shrink_node(), note_refaults],
      ),
    ],
  ),
]);
