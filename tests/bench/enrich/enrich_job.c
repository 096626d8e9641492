/* enrich_job.c - see enrich.h. */
#include "enrich.h"

#include "newsmill/text.h"

#include <openssl/sha.h>
#include <stdint.h>
#include <string.h>

void enrich_canonical(char *url)
{
    char *at = strstr(url, "://"), *to, joint = '?';
    for (at = at ? at + 3 : url + strlen(url); *at && !strchr("/?#", *at); at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 'a' - 'A' : *at);
    at += strcspn(at, "?#");
    to = at;
    while (*at == '?' || *at == '&') {
        size_t len = strcspn(++at, "&#");
        if (strncmp(at, "utm_", 4) != 0) {
            *to++ = joint;
            joint = '&';
            memmove(to, at, len);
            to += len;
        }
        at += len;
    }
    memmove(to, at, strlen(at) + 1);
}

long enrich_line(char *title)
{
    char *to = title;
    for (const char *at = title; *at; at++)
        if ((unsigned char)*at > ' ' || (to > title && to[-1] != ' '))
            *to++ = (unsigned char)*at > ' ' ? *at : ' ';
    if (to > title && to[-1] == ' ')
        to--;
    *to = '\0';
    long points = (long)nm_text_length(title, (size_t)(to - title));
    return points > 60 ? (points - 60) / 10 : 0;
}

void enrich_hash(const char *text, char out[HASH])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, strlen(text), digest);
    for (size_t i = 0; i < HASH - 1; i++)
        out[i] = "0123456789abcdef"[i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4];
    out[HASH - 1] = '\0';
}

void enrich_ids_reset(struct enrich_ids *ids)
{
    ids->round++;
    ids->n = 0;
}

void enrich_ids_add(struct enrich_ids *ids, const char *id)
{
    uint32_t head;
    memcpy(&head, id, sizeof head);
    struct enrich_seen *slot = &ids->slot[head * 0x9E3779B1u >> 22]; /* 10 bits: SLOTS */
    while (slot->round == ids->round && memcmp(slot->id, id, ID) != 0)
        slot = slot == &ids->slot[SLOTS - 1] ? ids->slot : slot + 1;
    if (slot->round != ids->round) {
        *slot = (struct enrich_seen){id, ids->round, 0};
        ids->seen[ids->n++] = slot;
    }
    slot->n++;
}

size_t enrich_ids_best(const struct enrich_ids *ids, const char *own, const char *best[BEST])
{
    const struct enrich_seen *top[BEST + 1]; /* the last one falls out */
    size_t n = 0;
    for (size_t i = 0; i < ids->n; i++) {
        const struct enrich_seen *each = ids->seen[i];
        if ((n == BEST && top[BEST - 1]->n >= each->n) || memcmp(each->id, own, ID) == 0)
            continue;
        size_t at = n;
        for (; at > 0 && top[at - 1]->n < each->n; at--)
            top[at] = top[at - 1];
        top[at] = each;
        n += n < BEST;
    }
    for (size_t i = 0; i < n; i++)
        best[i] = top[i]->id;
    return n;
}
