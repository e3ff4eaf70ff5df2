// Whether somebody may clone a source to where they want it, and if not, the right that they lack: the one answer of admission, webhooks, controller,
// schedules and command. What a clone needs is told by clone-authorization.ts; who holds what, only the asker knows.
import type { AccessReview, CloneAuthorization } from './clone-authorization.ts';

export type CloneVerdict = { readonly allowed: true } | { readonly allowed: false; readonly missing: string };

/** @param holds whether the requester holds that right */
export function canClone({ anyOf }: CloneAuthorization, holds: (right: AccessReview) => boolean): CloneVerdict {
  const [first] = anyOf;
  if (first === undefined || anyOf.some((rights) => rights.every(holds))) return { allowed: true };
  // The first set is the one that is meant for clones; it is told, though another would do.
  return {
    allowed: false,
    missing: first
      .filter((right) => !holds(right))
      .map(describeRight)
      .join(', '),
  };
}

/** The same where it takes time to find out what somebody holds. Asks no more than it needs. */
export async function askCanClone(
  needed: CloneAuthorization,
  holds: (right: AccessReview) => Promise<boolean>,
): Promise<CloneVerdict> {
  const held = new Set<AccessReview>();
  for (const rights of needed.anyOf) {
    for (const right of rights) {
      if (!(await holds(right))) break;
      held.add(right);
    }
    if (rights.every((right) => held.has(right))) break;
  }
  return canClone(needed, (right) => held.has(right));
}

/** `create datavolumes.cdi.kubevirt.io/source "golden" in namespace images` */
function describeRight({ verb, group, resource, subresource, namespace, name }: AccessReview): string {
  const [ofGroup, below] = [group === '' ? '' : `.${group}`, subresource === undefined ? '' : `/${subresource}`];
  const named = name === undefined ? '' : ` ${JSON.stringify(name)}`;
  return `${verb} ${resource}${ofGroup}${below}${named} in namespace ${namespace}`;
}

/** What the controller decides by: who asked was found entitled when they asked, and is named on the object, where nobody but the service writes it. */
export function couldClone(needed: CloneAuthorization, requester: string | undefined): CloneVerdict {
  return canClone(needed, () => requester !== undefined);
}
