/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The rules that a packet meets on its way through netfilter, judged in a time that hardly depends on
 * how many there are.
 *
 * Contract, Netfilter: what the rules of the kernel say to a packet (accept, drop), and which of them
 * count it; what only the kernel can do is punted. The rules come as one image, made by fpd
 * (Sources/Rules/Classifier.swift, docs/classifier.md): for each field of a packet it leads from the value
 * to a row, which has a bit for each rule that this value does not rule out; the rules that a packet meets
 * are those whose bit is set in all rows. Nothing here depends on the rules but which fields are looked at
 * and the sizes FILTER_SIZE, FILTER_SUMMARY and FILTER_COUNTERS, in front of the program.
 */
#ifndef FPM_FILTER_H
#define FPM_FILTER_H

#include "packet.h"

/* ---- what the rules are asked about ---- */

/*
 * A packet as it came in; addresses, ports and marks in host order, names as they lie in memory. Where the
 * destination is translated it is the one that is routed to.
 */
struct filter_key {
	u32 source;
	u32 destination;
	u32 mark;
	u32 input; /* interface indices */
	u32 output;
	u32 connection_mark;
	u32 arrived_destination; /* before NAT */
	u16 arrived_destination_port;
	u16 source_port;
	u16 destination_port;
	u16 icmp;   /* type and code */
	u16 length; /* of the IP packet */
	u8 transport;
	u8 later_fragment;
	u8 tcp_flags;
	u8 ttl;
	u8 tos;
	u8 packet_type;
	u8 connection; /* CONNECTION_* */
	u64 input_name[2];
	u64 output_name[2];
	u64 source_mac; /* mac_word() */
};

/*
 * What differs of connections whose packets are judged: all are confirmed, seen in both directions and assured.
 * IPS_EXPECTED and so on; SettledConnection in Sources/Rules.
 */
enum {
	CONNECTION_REPLY = 1 << 0,
	CONNECTION_EXPECTED = 1 << 1,
	CONNECTION_SRC_NAT = 1 << 2,
	CONNECTION_DST_NAT = 1 << 3,
	CONNECTION_SRC_NAT_DONE = 1 << 4,
	CONNECTION_DST_NAT_DONE = 1 << 5,
	CONNECTION_NONE =
		1 << 6, /* it belongs to none of those, as far as the kernel has it tracked */
	CONNECTION_UNTRACKED = 1 << 7, /* it does not */
	CONNECTIONS = 1 << 8,
};

enum { FILTER_MET = 16 };
#define FILTER_NONE 0xffffffffU

/*
 * Where rules are few and some are about sets, what the first one that a packet meets says of a set is found
 * out in front of the loop.
 */
#define FILTER_BEGINS_STRAIGHT                                                                     \
	(!FILTER_SUMMARY && FILTER_FIELDS && FILTER_ASKS_KERNEL && FP_MAY_GOTO)

/* Programs that ask the kernel's memory have none of the stack to spare: see fp_filter_met(). */
#define FILTER_MET_ON_STACK (!FILTER_ASKS_KERNEL)

/* What accounting has to know of a packet that has been judged. */
struct filter {
	u32 count; /* of those met */
	u32 last;  /* counter of what it met after them */
	u32 rule;  /* the one that decided */
	u32 length;
#if FILTER_MET_ON_STACK
	u32 met[FILTER_MET];
#endif
};

/* ---- the image ---- */

/* Fields, as FILTER_FIELDS has a bit for each. */
enum {
	FIELD_SOURCE,
	FIELD_DESTINATION,
	FIELD_KIND, /* transport protocol, and whether it is a later fragment */
	FIELD_SOURCE_PORT,
	FIELD_DESTINATION_PORT,
	FIELD_TCP_FLAGS,
	FIELD_ICMP,
	FIELD_LENGTH,
	FIELD_TTL,
	FIELD_TOS,
	FIELD_MARK,
	FIELD_PACKET_TYPE,
	FIELD_INPUT,
	FIELD_OUTPUT,
	FIELD_CONNECTION,
	FIELD_CONNECTION_MARK,
	FIELD_ARRIVED_DESTINATION,
	FIELD_ARRIVED_DESTINATION_PORT,
	FIELDS,
};
#define FILTER_USES(field) (FILTER_FIELDS >> (field)&1)
#define FOR_EACH_FIELD(step)                                                                       \
	step(FIELD_SOURCE);                                                                        \
	step(FIELD_DESTINATION);                                                                   \
	step(FIELD_KIND);                                                                          \
	step(FIELD_SOURCE_PORT);                                                                   \
	step(FIELD_DESTINATION_PORT);                                                              \
	step(FIELD_TCP_FLAGS);                                                                     \
	step(FIELD_ICMP);                                                                          \
	step(FIELD_LENGTH);                                                                        \
	step(FIELD_TTL);                                                                           \
	step(FIELD_TOS);                                                                           \
	step(FIELD_MARK);                                                                          \
	step(FIELD_PACKET_TYPE);                                                                   \
	step(FIELD_INPUT);                                                                         \
	step(FIELD_OUTPUT);                                                                        \
	step(FIELD_CONNECTION);                                                                    \
	step(FIELD_CONNECTION_MARK);                                                               \
	step(FIELD_ARRIVED_DESTINATION);                                                           \
	step(FIELD_ARRIVED_DESTINATION_PORT)
#define FILTER_USES_TRANSPORT                                                                      \
	(FILTER_FIELDS &                                                                           \
		 (1 << FIELD_SOURCE_PORT | 1 << FIELD_DESTINATION_PORT | 1 << FIELD_TCP_FLAGS |    \
		  1 << FIELD_ICMP | 1 << FIELD_ARRIVED_DESTINATION_PORT) ||                        \
	 FILTER_CHECKS_FOR(CHECK_SET))

/* From the place of the list that a packet has got to: what it meets if no condition holds any more. */
struct filter_turn {
	u32 always;  /* the next rule without conditions */
	u32 end;     /* what becomes of the packet */
	u32 counter; /* for all of them together */
	u32 rule;    /* the one that decides */
};

/* A rule, in one word: where to go on or how it ends, what counts it, and what else to look at. */
enum {
	RULE_ENDS = 1 << 23,
	RULE_IS_LAST = 1 << 22,	  /* no rule with conditions is behind the place it leads to */
	RULE_CHANGES = 1 << 21,	  /* the packet has another mark from there on */
	RULE_UNTRACKS_SHIFT = 20, /* it is not tracked from there on */
	RULE_PLACE = (1 << 24) - 1,
	RULE_COUNTER_SHIFT = 24,
	RULE_LATE_SHIFT = 48,
};
enum { END_ACCEPT, END_DROP, END_UNKNOWN, END_EFFECT, END_TOO_MANY };

struct filter_check {
	u32 kind;
	u32 argument;
	u64 value;
	u64 mask;
};
enum {
	CHECK_SOURCE,
	CHECK_DESTINATION,
	CHECK_MARK,
	CHECK_SOURCE_MAC,
	CHECK_SOURCE_TYPE, /* argument: types of routes, a bit each */
	/* argument: index, dimensions from bit 16, their number from bit 24; value: where sets are */
	CHECK_SET,
	CHECK_CONNECTION_MARK,
	CHECK_MARKS, /* both together: argument for the packet's, mask for its connection's */
	CHECK_CHANGE, /* no condition, and the first: the packet's mark is what those two and value make */
	CHECK_KIND = 0xff,
	CHECK_NEGATED = 1 << 8,
	CHECK_LAST = 1 << 9,
	CHECKS = 8, /* of one rule */
};

#define FILTER_CHECKS_FOR(kind) (FILTER_CHECKS >> (kind)&1)
#define FILTER_CHANGES (FILTER_CHECKS >> 8 & 1)
_Static_assert(CHECK_CHANGE == 8, "packet.h and FILTER_CHANGES know it by its number");
#ifndef FILTER_UNTRACKS
#define FILTER_UNTRACKS 0
#endif

struct filter_interface {
	u64 name[2];
	u32 row;
	u32 unused;
};

struct filter_head {
	u64 unknown; /* 0, which the verifier does not know */
	u32 rules;
	u32 turns;
	struct filter_turn first;
	u32 root[FIELDS];
	u32 checks;
	u32 tracked; /* the first rule that packets come to when their connection is known */
	u8 bit[64];  /* De Bruijn's: which one is set */
	u32 kind[512];
	u32 tcp_flags[256];
	u32 ttl[256];
	u32 tos[256];
	u32 packet_type[8];
	u32 connection[CONNECTIONS];
};

enum {
	FILTER_SLACK = 1024, /* behind FILTER_SIZE, for what lies beside a place */
	FILTER_STEPS = 16,   /* on kernels that have no may_goto: verifying takes too long */
	FILTER_CHUNK = 64,   /* rules in a word */
	FILTER_GROUP = 512,  /* rules in a block */
};
#define FILTER_WORD (FILTER_SIZE - 8) /* makes any number the place of a word */
#define FILTER_HALF (FILTER_SIZE - 4)

struct filter_image {
	u8 bytes[FILTER_SIZE + FILTER_SLACK];
};

struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct filter_image);
} fpd_filter SEC(".maps");

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, FILTER_COUNTERS);
	map_type(key, u32);
	map_type(value, struct counter);
} fpd_rule_counts SEC(".maps");

typedef const void *image;

/*
 * Zero, which the verifier does not know. It is through with a loop when it comes to its head again with
 * nothing that it has not seen there: what it makes of the numbers that a turn leaves is taken from it.
 */
fp_inline u64 nothing_known(image image)
{
	return ((const volatile struct filter_head *)image)->unknown;
}

/* ---- from values to rows ---- */

/* What a value leads to: a row, or what has to be asked next, in the two highest bits. */
#define ENTRY_LINE (1U << 31)
#define ENTRY_BLOCK (1U << 30)

/* A line of the cache: up to nine borders in three words, and what lies between them. */
#define LINE_LANES (1ULL | 1ULL << 17 | 1ULL << 34)
#define LINE_GUARDS (LINE_LANES << 16)
enum { LINE_ENTRIES = 24, LINE_SUM = 34, LINE_PLACE = 15 };

fp_inline u32 entry_at(image image, u32 place)
{
	return *(const u32 *)(image + (place & FILTER_HALF));
}

/* How many borders are not above `value`: in each lane the guard stays if there is nothing to borrow. */
fp_inline u32 in_line(image image, u32 entry, u32 value)
{
	const u64 *line = image + (entry & FILTER_WORD);
	u64 lanes = value * LINE_LANES + LINE_GUARDS;
	u64 below = ((lanes - line[0]) & LINE_GUARDS) + ((lanes - line[1]) & LINE_GUARDS) +
		    ((lanes - line[2]) & LINE_GUARDS);
	u64 place = (below >> 16) * LINE_LANES >> LINE_SUM & LINE_PLACE;
	return *(const u32 *)((const void *)line + LINE_ENTRIES + place * 4);
}

fp_inline u32 lookup_16(image image, u32 entry, u32 value)
{
	if (entry & ENTRY_BLOCK) {
		entry = entry_at(image, entry + (value >> 8) * 4);
		if (entry & ENTRY_BLOCK)
			return entry_at(image, entry + (value & 0xff) * 4);
	}
	if (entry & ENTRY_LINE)
		entry = in_line(image, entry, value);
	return entry;
}

fp_inline u32 lookup_32(image image, u32 entry, u32 value)
{
	if (entry & ENTRY_BLOCK)
		entry = entry_at(image, entry + (value >> 16) * 4);
	else
		entry = in_line(image, entry, value >> 16);
	return lookup_16(image, entry, value & 0xffff);
}

/* An interface by its index, if it still has the name by which rules know it. */
fp_inline outcome lookup_interface(image image, u32 root, u32 index, const u64 *name, u32 *row)
{
	const struct filter_interface *interface =
		image + (lookup_32(image, root, index) & FILTER_WORD);
	if (interface->name[0] != name[0] || interface->name[1] != name[1])
		return REASON_CHANGED;
	*row = interface->row;
	return GO_ON;
}

/* Where the rows of a packet lie; of the fields that no rule asks about nothing is kept. */
struct filter_rows {
	u32 at[FIELDS];
};

/* The largest programs have no room for them on the stack; what comes from elsewhere is nothing the verifier knows. */
#if FOLLOWS_CONNECTIONS && FILTER_ASKS_KERNEL
#define FILTER_ROWS_ASIDE 1
#else
#define FILTER_ROWS_ASIDE 0
#endif
fp_inline u32 row_at(const struct filter_rows *rows, u32 field)
{
	return FILTER_ROWS_ASIDE ? rows->at[field] & FILTER_WORD : rows->at[field];
}

#define look_up(field, value)                                                                      \
	do {                                                                                       \
		if (FILTER_USES(field))                                                            \
			rows->at[field] = (value)&FILTER_WORD;                                     \
	} while (0)

fp_inline outcome find_rows(image image, const struct filter_key *key, struct filter_rows *rows)
{
	const struct filter_head *head = image;
	look_up(FIELD_SOURCE, lookup_32(image, head->root[FIELD_SOURCE], key->source));
	look_up(FIELD_DESTINATION,
		lookup_32(image, head->root[FIELD_DESTINATION], key->destination));
	look_up(FIELD_KIND, head->kind[key->transport | (key->later_fragment & 1) << 8]);
	look_up(FIELD_SOURCE_PORT,
		lookup_16(image, head->root[FIELD_SOURCE_PORT], key->source_port));
	look_up(FIELD_DESTINATION_PORT,
		lookup_16(image, head->root[FIELD_DESTINATION_PORT], key->destination_port));
	look_up(FIELD_TCP_FLAGS, head->tcp_flags[key->tcp_flags]);
	look_up(FIELD_ICMP, lookup_16(image, head->root[FIELD_ICMP], key->icmp));
	look_up(FIELD_LENGTH, lookup_16(image, head->root[FIELD_LENGTH], key->length));
	look_up(FIELD_TTL, head->ttl[key->ttl]);
	look_up(FIELD_TOS, head->tos[key->tos]);
	look_up(FIELD_MARK, lookup_32(image, head->root[FIELD_MARK], key->mark));
	look_up(FIELD_PACKET_TYPE, head->packet_type[key->packet_type & 7]);
	look_up(FIELD_CONNECTION, head->connection[key->connection & (CONNECTIONS - 1)]);
	look_up(FIELD_CONNECTION_MARK,
		lookup_32(image, head->root[FIELD_CONNECTION_MARK], key->connection_mark));
	look_up(FIELD_ARRIVED_DESTINATION,
		lookup_32(image, head->root[FIELD_ARRIVED_DESTINATION], key->arrived_destination));
	look_up(FIELD_ARRIVED_DESTINATION_PORT,
		lookup_16(image, head->root[FIELD_ARRIVED_DESTINATION_PORT],
			  key->arrived_destination_port));
	outcome result = GO_ON;
	if (FILTER_USES(FIELD_INPUT)) {
		result = lookup_interface(image, head->root[FIELD_INPUT], key->input,
					  key->input_name, &rows->at[FIELD_INPUT]);
		look_up(FIELD_INPUT, rows->at[FIELD_INPUT]);
	}
	if (FILTER_USES(FIELD_OUTPUT) && result == GO_ON) {
		result = lookup_interface(image, head->root[FIELD_OUTPUT], key->output,
					  key->output_name, &rows->at[FIELD_OUTPUT]);
		look_up(FIELD_OUTPUT, rows->at[FIELD_OUTPUT]);
	}
	return result;
}

/* ---- from rows to rules ---- */

/* The word `offset` bytes behind the beginning of each row, and of them all. */
fp_inline u64 common_word(image image, const struct filter_rows *rows, u32 offset)
{
	u64 word = ~0ULL;
#define and_word(field)                                                                            \
	if (FILTER_USES(field))                                                                    \
	word &= *(const u64 *)(image + row_at(rows, field) + offset)
	FOR_EACH_FIELD(and_word);
#undef and_word
	return word;
}

#if FILTER_SUMMARY
/* The rules of one chunk. Rows know the blocks of eight chunks each that they have in common. */
fp_inline u64 common_chunk(image image, const struct filter_rows *rows, u32 chunk)
{
	u64 word = ~0ULL;
	u32 group = FILTER_SUMMARY * 8 + (chunk >> 3 & (FILTER_SUMMARY * 8 - 1)) * 4;
	u32 inside = (chunk & 7) * 8;
#define and_chunk(field)                                                                           \
	if (FILTER_USES(field))                                                                    \
	word &= *(                                                                                 \
		const u64 *)(image + inside +                                                      \
			     (*(const u32 *)(image + row_at(rows, field) + group) & FILTER_WORD))
	FOR_EACH_FIELD(and_chunk);
#undef and_chunk
	return word;
}
#endif

fp_inline u32 lowest_bit(image image, u64 word)
{
	const struct filter_head *head = image;
	return head->bit[(word & -word) * 0x03f79d71b4cb0a89ULL >> 58] & 63;
}

/* ---- from rules to what becomes of the packet ---- */

fp_inline outcome fp_filter_end(u32 end)
{
	if (end == END_ACCEPT)
		return GO_ON;
	if (end == END_DROP)
		return DROP;
	if (end == END_EFFECT)
		return REASON_RULE_EFFECT;
	if (end == END_TOO_MANY)
		return REASON_RULES_TOO_MANY;
	return REASON_RULE_UNKNOWN;
}

#if FILTER_CHECKS
enum { UNMET = -2 };

/* What a condition says, where it may ask for the contrary. */
fp_inline outcome as_asked(u32 kind, outcome result)
{
	if (kind & CHECK_NEGATED && (result == GO_ON || result == UNMET))
		return result == GO_ON ? UNMET : GO_ON;
	return result;
}

/* What the kernel has to be asked about. */
#if FILTER_ASKS_KERNEL
#include "live/late.h"
#else
fp_inline outcome fp_filter_late(const struct filter_check *check)
{
	(void)check;
	return REASON_RULE_UNKNOWN;
}
#endif

fp_inline u32 both_marks(const struct filter_check *check, u32 mark, u32 connection_mark)
{
	return (mark & check->argument) ^ (connection_mark & (u32)check->mask) ^ (u32)check->value;
}

#if FILTER_CHANGES
/*
 * The mark that a packet has behind a rule that it has met, and in the upper half its row. A global function, which
 * the verifier goes through once: within the loop it would at each of its turns; and asked whether the rule changes the
 * mark or not, since what takes two ways there is gone through twice as often.
 */
__attribute__((noinline)) u64 fp_filter_mark(u64 rule, u32 mark, u32 connection_mark)
{
	u32 zero = 0;
	image image = bpf_map_lookup_elem(&fpd_filter, &zero);
	if (!image)
		return mark;
	const struct filter_head *head = image;
	if (rule & RULE_CHANGES) {
		u32 check = (rule >> RULE_LATE_SHIFT) - 1;
		u32 place = head->checks + check * sizeof(struct filter_check);
		mark = both_marks(image + (place & FILTER_WORD), mark, connection_mark);
	}
	u32 row = FILTER_USES(FIELD_MARK) ? lookup_32(image, head->root[FIELD_MARK], mark) : 0;
	return (u64)row << 32 | mark;
}
#endif

fp_inline outcome judge_check(const struct filter_check *check, const struct filter_key *key)
{
	u32 kind = check->kind & CHECK_KIND;
	u64 value;
	if (FILTER_CHANGES && kind == CHECK_CHANGE)
		return GO_ON;
	if (FILTER_CHECKS_FOR(CHECK_MARKS) && kind == CHECK_MARKS)
		return both_marks(check, key->mark, key->connection_mark) ? UNMET : GO_ON;
	if (FILTER_CHECKS_FOR(CHECK_SOURCE) && kind == CHECK_SOURCE)
		value = key->source;
	else if (FILTER_CHECKS_FOR(CHECK_DESTINATION) && kind == CHECK_DESTINATION)
		value = key->destination;
	else if (FILTER_CHECKS_FOR(CHECK_MARK) && kind == CHECK_MARK)
		value = key->mark;
	else if (FILTER_CHECKS_FOR(CHECK_CONNECTION_MARK) && kind == CHECK_CONNECTION_MARK)
		value = key->connection_mark;
	else if (FILTER_CHECKS_FOR(CHECK_SOURCE_MAC) && kind == CHECK_SOURCE_MAC)
		value = key->source_mac;
	else
		return fp_filter_late(check);
	return (value & check->mask) == check->value ? GO_ON : UNMET;
}

/* All that a rule asks for beside its fields. */
fp_inline outcome judge_checks(image image, u32 place, const struct filter_key *key)
{
	const u64 nothing = nothing_known(image);
	repeat(CHECKS)
	{
		or_give_up(many);
		place ^= nothing;
		const struct filter_check *check = image + (place & FILTER_WORD);
		u32 kind = check->kind;
		outcome result = as_asked(kind, judge_check(check, key));
		if (result != GO_ON || kind & CHECK_LAST)
			return result;
		place += sizeof(*check);
	}
many:
	return REASON_RULES_TOO_MANY;
}
#endif

/* Where the counters of the rules that a packet meets are noted, if anywhere. */
fp_inline u32 *fp_filter_met(struct filter *filter)
{
#if FILTER_MET_ON_STACK
	return filter->met;
#else
	struct set_search *search = late_search();
	(void)filter;
	return search ? search->met : 0;
#endif
}

fp_inline const struct filter_turn *turn_at(image image, u32 place)
{
	const struct filter_head *head = image;
	return image + ((head->turns + place * sizeof(struct filter_turn)) & FILTER_WORD);
}

fp_inline outcome take_turn(struct filter *filter, const struct filter_turn *turn)
{
	filter->last = turn->counter;
	filter->rule = turn->rule;
	return fp_filter_end(turn->end);
}

/*
 * What the rules say: GO_ON if all chains accept the packet, DROP, or why it is the kernel's.
 * ipt_do_table() and nft_do_chain(), with the chains laid out behind one another.
 */
fp_inline outcome fp_filter_judge(const struct packet *packet, struct filter_key *key,
				  struct filter *filter)
{
	u32 zero = 0;
	image image = bpf_map_lookup_elem(&fpd_filter, &zero);
	if (!image)
		return REASON_CHANGED;
	const struct filter_head *head = image;
	filter->count = 0;
	filter->last = FILTER_NONE;
#if !FILTER_FIELDS
	(void)packet, (void)key;
	return take_turn(filter, &head->first);
#else
#if FILTER_ROWS_ASIDE
	struct set_search *search = late_search();
	if (!search)
		return REASON_CHANGED;
	struct filter_rows *rows = &search->rows;
#else
	struct filter_rows made, *rows = &made;
#endif
	outcome result = find_rows(image, key, rows);
	if (result != GO_ON)
		return result;

	const u64 nothing = nothing_known(image);
	u64 word = common_word(image, rows, 0);
#if FILTER_SUMMARY
	u64 chunks = word;
	u32 part = 0, chunk = 0;
#pragma clang loop unroll(full)
	for (u32 i = 1; i < FILTER_SUMMARY; i++) {
		if (!chunks) {
			chunks = common_word(image, rows, i * 8);
			part = i;
		}
	}
	if (!chunks)
		return take_turn(filter, &head->first);
	word = 0;
#else
	if (!word)
		return take_turn(filter, &head->first);
	const u32 chunk = 0;
#endif
	u32 place = 0, count = 0;
#if FILTER_ASKS_KERNEL && FILTER_CHECKS
	fp_filter_remember(packet, key);
#else
	(void)packet;
#endif

#if FILTER_BEGINS_STRAIGHT
	u32 first = lowest_bit(image, word);
	u32 known = FILTER_NONE;
	if (turn_at(image, 0)->always > first) {
		u32 late = *(const u64 *)(image + ((head->rules + first * 8) & FILTER_WORD)) >>
			   RULE_LATE_SHIFT;
		result = LOOK_CLOSER;
		if (late)
			result = fp_filter_set_at_once(
				image + ((head->checks + (late - 1) * sizeof(struct filter_check)) &
					 FILTER_WORD));
		if (result == UNMET)
			word &= word - 1;
		if (!word)
			return take_turn(filter, &head->first);
		if (result == GO_ON)
			known = first;
	}
#endif

	repeat(FILTER_STEPS)
	{
		or_give_up(many);
		word ^= nothing;
		place ^= nothing;
		count ^= nothing;
#if FILTER_SUMMARY
		chunks ^= nothing;
		chunk ^= nothing;
		part ^= nothing;
		if (!word) {
			if (!chunks) {
				if (++part >= FILTER_SUMMARY)
					goto end;
				chunks =
					common_word(image, rows, (part & (FILTER_SUMMARY - 1)) * 8);
				continue;
			}
			chunk = part * FILTER_CHUNK + lowest_bit(image, chunks);
			chunks &= chunks - 1;
			if (chunk < place / FILTER_CHUNK)
				continue;
			word = common_chunk(image, rows, chunk);
			if (chunk == place / FILTER_CHUNK)
				word &= ~0ULL << (place & 63);
			continue;
		}
#else
		if (!word)
			goto end;
#endif
		u32 rule = chunk * FILTER_CHUNK + lowest_bit(image, word);
		u32 next = rule, always = turn_at(image, place)->always;
		if (always < rule)
			next = always;
		u64 what = *(const u64 *)(image + ((head->rules + next * 8) & FILTER_WORD));
#if FILTER_CHECKS
		if (what >> RULE_LATE_SHIFT) {
			u32 check = (what >> RULE_LATE_SHIFT) - 1;
#if FILTER_BEGINS_STRAIGHT
			known ^= nothing;
			if (next == known)
				result = GO_ON;
			else
#endif
				result = judge_checks(
					image, head->checks + check * sizeof(struct filter_check),
					key);
			if (result == UNMET) {
				word &= word - 1;
				continue;
			}
			if (result != GO_ON) {
				filter->rule = next;
				return result;
			}
		}
#endif
		u32 counter = what >> RULE_COUNTER_SHIFT & RULE_PLACE;
		if (counter != RULE_PLACE) {
			u32 *met = fp_filter_met(filter);
			if (!met || count >= FILTER_MET)
				goto many;
			met[count & (FILTER_MET - 1)] = counter;
			count++;
		}
		place = what & RULE_PLACE;
		if (place & RULE_ENDS) {
			filter->count = count;
			filter->last = FILTER_NONE;
			filter->rule = next;
			return fp_filter_end(place & ~RULE_ENDS);
		}
#if FILTER_CHANGES
		u64 changed = fp_filter_mark(what, key->mark, key->connection_mark);
		key->mark = (u32)changed;
		look_up(FIELD_MARK, changed >> 32);
		place &= ~RULE_CHANGES;
#endif
#if FILTER_UNTRACKS
		key->connection |= (u8)(what >> RULE_UNTRACKS_SHIFT << 7);
		look_up(FIELD_CONNECTION, head->connection[key->connection]);
		place &= ~(1U << RULE_UNTRACKS_SHIFT);
#endif
		if (place & RULE_IS_LAST) {
			place &= ~RULE_IS_LAST;
			goto end;
		}
#if FILTER_CHANGES || FILTER_UNTRACKS
		/* from here on it meets what meets what it is now */
#if FILTER_SUMMARY
		/* behind the part in front of it */
		word = chunks = nothing;
		part = place / (FILTER_CHUNK * FILTER_CHUNK) - 1;
#else
		word = common_word(image, rows, 0) & ~0ULL << (place & 63);
#endif
#else
		if (place > rule)
			word = place / FILTER_CHUNK > chunk ? 0 : word & ~0ULL << (place & 63);
#endif
	}
many:
	return REASON_RULES_MET;
end:
	filter->count = count;
	return take_turn(filter, turn_at(image, place));
#endif
}

#if FOLLOWS_CONNECTIONS
/* Whether what decided stands before connection tracking. */
fp_inline int fp_filter_is_untracked(const struct filter *filter)
{
	u32 zero = 0;
	const struct filter_head *head = bpf_map_lookup_elem(&fpd_filter, &zero);
	return head && filter->rule < head->tracked;
}
#endif

/* ---- counters ---- */

fp_inline void count_rule(u32 index, u32 length)
{
	struct counter *counter = bpf_map_lookup_elem(&fpd_rule_counts, &index);
	if (!counter)
		return;
	counter->packets++;
	counter->bytes += length;
}

/* The rules that a packet has met count it, once it is known that the kernel will not. */
fp_inline void fp_filter_account(struct filter *filter, u32 length)
{
	const u32 *met = filter->count ? fp_filter_met(filter) : 0;
	if (met) {
#pragma clang loop unroll(disable)
		for (u32 i = 0; i < FILTER_MET; i++) {
			if (i >= filter->count)
				break;
			count_rule(met[i], length);
		}
	}
	if (filter->last != FILTER_NONE)
		count_rule(filter->last, length);
}

/* ---- the packet ---- */

enum {
	HEADER_ICMP = 8,
	HEADER_UDP = 8,
	HEADER_SCTP = 12,
	HEADER_DCCP = 12,
	HEADER_TCP = 20,
	FRAGMENT_OFFSET = 0x1fff,
	TCP_FLAGS = 13,
};

/* The IPv4 header of a packet that has been parsed. */
fp_inline void fp_filter_read_network(const struct packet *packet, struct filter_key *key)
{
	const struct ipv4 *ipv4 = packet->ipv4;
	key->source = __builtin_bswap32(ipv4->source);
	key->destination = __builtin_bswap32(ipv4->destination);
	key->length = network_order(ipv4->total_length);
	key->transport = ipv4->protocol;
	key->ttl = ipv4->ttl;
	key->tos = ipv4->tos;
	key->later_fragment = (network_order(ipv4->fragment) & FRAGMENT_OFFSET) != 0;
}

/*
 * What lies behind the IPv4 header: tcp_mt(), udp_mt(), icmp_match() and the like lose a packet whose
 * header does not fit in, and one that would overwrite a TCP header that has been let through. What lies behind the
 * packet is none of it.
 */
fp_inline outcome fp_filter_read_transport(const struct packet *packet, struct filter_key *key)
{
	const u8 *header = (const void *)(packet->ipv4 + 1);
	u32 carried = key->length - sizeof(struct ipv4);
	u32 size;
	key->source_port = key->destination_port = key->icmp = 0;
	key->tcp_flags = 0;
	if (key->later_fragment) {
		u32 offset = network_order(packet->ipv4->fragment) & FRAGMENT_OFFSET;
		return key->transport == TRANSPORT_TCP && offset == 1 ? REASON_MALFORMED : GO_ON;
	}
	if (key->transport == TRANSPORT_TCP) {
		if ((const void *)(header + HEADER_TCP) > packet->end)
			return REASON_MALFORMED;
		key->tcp_flags = header[TCP_FLAGS];
		size = HEADER_TCP;
	} else if (key->transport == TRANSPORT_UDP || key->transport == TRANSPORT_UDP_LITE) {
		size = HEADER_UDP;
	} else if (key->transport == TRANSPORT_ICMP) {
		if (carried < HEADER_ICMP || (const void *)(header + HEADER_ICMP) > packet->end)
			return REASON_MALFORMED;
		key->icmp = network_order(*(const u16 *)header);
		return GO_ON;
	} else if (key->transport == TRANSPORT_SCTP || key->transport == TRANSPORT_DCCP) {
		size = HEADER_SCTP;
	} else {
		return GO_ON;
	}
	if (carried < size || (const void *)(header + HEADER_UDP) > packet->end)
		return REASON_MALFORMED;
	if (size == HEADER_SCTP && (const void *)(header + HEADER_SCTP) > packet->end)
		return REASON_MALFORMED;
	key->source_port = network_order(((const u16 *)header)[0]);
	key->destination_port = network_order(((const u16 *)header)[1]);
	return GO_ON;
}

#endif
