/**
 * Calls of the sandbox to drivers that only some sandboxes have: each works on the one object or region of the machine's first notifier,
 * or on the command of a thread's own read.
 */
import {
  amdgpu_gem_object_free,
  amdgpu_gem_userptr_ioctl,
  amdgpu_submit,
} from "../kernel/drivers/amdgpu_ttm.js";
import { i915_gem_execbuffer, i915_gem_free_object } from "../kernel/drivers/i915_userptr.js";
import { odp_write } from "../kernel/drivers/infiniband_odp.js";
import { nvme_in_flight, nvme_timeout } from "../kernel/drivers/nvme.js";
import { call, given, leave, local, path, repeat } from "../kernel/language.js";
import { int, pages_nr, vpn } from "../kernel/types.js";
import { ARRAYS } from "./operation.js";

/** The array of what a driver of the sandbox's own has (an object, a region, an asynchronous read), and one for its worker. */
export const OBJECT = ARRAYS;
export const SPARE = ARRAYS + 1;

/** The card of an ODP region writes every part of one of its pages. */
export const odp_write_page = path(
  "odp_write_page",
  {
    source: "a device",
    args: { at: vpn, pages: pages_nr },
    locals: { part: int },
    returns: int,
  },
  [
    repeat(
      (k, f) => f.part < k.geometry.parts && f.ret === 0,
      [
        call(() => odp_write, { notifier: 0, at: "at", part: "part", pages: "pages" }, "ret"),
        local((_, f) => {
          f.part++;
        }),
      ],
    ),
  ],
);

const OBJECTS = { source: "a process", args: { pages: pages_nr }, returns: int } as const;

/** i915: submit a job. */
export const i915_exec = path("i915_exec", OBJECTS, [
  call(() => i915_gem_execbuffer, { notifier: 0 }, "ret"),
]);
/** i915: close the object. */
export const i915_free = path("i915_free", OBJECTS, [call(() => i915_gem_free_object, { notifier: 0 })]);
/** amdgpu: make the object. */
export const amdgpu_userptr = path(
  "amdgpu_userptr",
  { ...OBJECTS, args: { anononly: int, pages: pages_nr } },
  [call(() => amdgpu_gem_userptr_ioctl, { notifier: 0, anononly: "anononly" }, "ret")],
);
/** amdgpu: submit a job, until it is not told to start again. */
export const amdgpu_cs = path("amdgpu_cs", OBJECTS, [
  call(() => amdgpu_submit, { notifier: 0, anononly: 0, user_pages: SPARE }, "ret"),
]);
/** amdgpu: close the object. */
export const amdgpu_free = path("amdgpu_free", OBJECTS, [
  call(() => amdgpu_gem_object_free, { notifier: 0 }),
]);

/** The timer of a command, if it has not ended meanwhile. */
export const timer = path("nvme_timer", { source: "block/blk-mq.c v4.20", args: { pages: pages_nr } }, [
  given((k, f) => !nvme_in_flight(k, f.pages), [leave()]),
  call(() => nvme_timeout, { pages: "pages" }),
]);
