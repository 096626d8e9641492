/* test_redis_classify.c - what each error reply of Redis asks of us. Sentences as Redis 7.0 writes them, or as older
 * and newer versions do. */
#include "redis_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *reply;
    enum nm_status want;
} cases[] = {
    {"LOADING Redis is loading the dataset in memory", NM_RETRY},
    {"READONLY You can't write against a read only replica.", NM_RETRY},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", NM_RETRY},
    {"NOREPLICAS Not enough good replicas to write.", NM_RETRY},
    {"OOM command not allowed when used memory > 'maxmemory'.", NM_RETRY},
    {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", NM_RETRY},
    {"MISCONF Errors writing to the AOF file: No space left on device", NM_RETRY},
    {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", NM_RETRY},
    {"NOSCRIPT No matching script. Please use EVAL.", NM_RETRY},
    {"CLUSTERDOWN Hash slot not served", NM_RETRY},
    {"TRYAGAIN Multiple keys request during rehashing of slot", NM_RETRY},
    {"UNKILLABLE Sorry the script already executed write commands", NM_RETRY},
    {"LOADING", NM_RETRY},
    {"ERR max number of clients reached", NM_RETRY},
    {"ERR max number of clients + cluster connections reached", NM_RETRY},
    {"ERR Server closed the connection", NM_FATAL},

    {"NOAUTH Authentication required.", NM_CONFIG},
    {"WRONGPASS invalid username-password pair or user is disabled.", NM_CONFIG},
    {"NOPERM this user has no permissions to run the 'evalsha' command", NM_CONFIG},
    {"NOPERM User app has no permissions to access one of the keys used as arguments", NM_CONFIG},
    {"ERR The user executing the script can't run this command or subcommand script: 6ca2, on @user_script:1.",
     NM_CONFIG},
    {"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments "
     "script: 6ca2, on @user_script:1.",
     NM_CONFIG},
    {"ERR ACL failure in script: User app has no permissions to run the 'hset' command script: 6ca2, on "
     "@user_script:1.",
     NM_CONFIG},
    {"MOVED 3999 127.0.0.1:6381", NM_CONFIG},
    {"ASK 3999 127.0.0.1:6381", NM_CONFIG},
    {"CROSSSLOT Keys in request don't hash to the same slot", NM_CONFIG},
    {"DENIED Redis is running in protected mode because protected mode is enabled", NM_CONFIG},

    {"WRONGTYPE Operation against a key holding the wrong kind of value", NM_FATAL},
    {"ERR unknown command 'EVALSHA', with args beginning with: ", NM_FATAL},
    {"ERR user_script:3: attempt to index a nil value (global 'x') script: 6ca2, on @user_script:3.", NM_FATAL},
    {"ERR value is not an integer or out of range", NM_FATAL},
    {"LOADINGS are high", NM_FATAL},
    {"loading", NM_FATAL},
    {"BUSYKEY Target key name already exists.", NM_FATAL},
    {"BUSYGROUP Consumer Group name already exists", NM_FATAL},
    {"EXECABORT Transaction discarded because of previous errors.", NM_FATAL},
    {"", NM_FATAL},
    {" ", NM_FATAL},
    {" READONLY", NM_FATAL},

    /* a script that ran into it: Redis 6 wraps the sentence, 7 passes it on with a tail */
    {"ERR Error running script (call to f_6ca2): @user_script:1: @user_script: 1: -OOM command not allowed when used "
     "memory > 'maxmemory'.",
     NM_RETRY},
    {"OOM command not allowed when used memory > 'maxmemory'. script: 6ca2, on @user_script:1.", NM_RETRY},
    {"READONLY You can't write against a read only replica. script: 6ca2, on @user_script:1.", NM_RETRY},
    {"ERR Error running script (call to f_6ca2): @user_script:1: @user_script: 1: -READONLY You can't write against a "
     "read only replica.",
     NM_RETRY},
    {"ERR Error running script (call to f_6ca2): @user_script:1: @user_script: 1: -MISCONF Redis is configured to save "
     "RDB snapshots, but is currently not able to persist on disk.",
     NM_RETRY},
    {"ERR Error running script (call to f_6ca2): @user_script:1: @user_script: 1: -NOREPLICAS Not enough good replicas "
     "to write.",
     NM_RETRY},
};

static void classify__table(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum nm_status got = nm_redis_classify(cases[i].reply);
        if (got != cases[i].want) {
            print_error("'%s': wanted %d, got %d\n", cases[i].reply, (int)cases[i].want, (int)got);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classify__table)};
    return cmocka_run_group_tests_name("redis_classify", tests, NULL, NULL);
}
