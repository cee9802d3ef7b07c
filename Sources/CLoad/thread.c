/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CLoad.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct load_thread {
	pthread_t thread;
	char *path;
	int cpu, nice, error;
	const char *step;
	void (*body)(void *);
	void *argument;
	_Atomic pid_t id;
};

#define INTERRUPT (SIGRTMAX - 1)

static void on_interrupt(int number)
{
	(void)number;
}

static void catch_interrupt(void)
{
	struct sigaction action = { .sa_handler = on_interrupt };

	sigaction(INTERRUPT, &action, NULL);
}

static int enter(const char *path)
{
	int namespace = open(path, O_RDONLY | O_CLOEXEC), error = 0;

	if (namespace < 0)
		return errno;
	if (setns(namespace, CLONE_NEWNET) < 0)
		error = errno;
	close(namespace);
	return error;
}

static void *run(void *opaque)
{
	struct load_thread *thread = opaque;
	pid_t id = (pid_t)syscall(SYS_gettid);
	sigset_t interrupt;

	/* Who starts us may have blocked it, as the threads of a thread pool do. */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, INTERRUPT);
	pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);

	thread->step = "entering the namespace";
	if (thread->path && (thread->error = enter(thread->path)))
		return NULL;
	thread->step = "going to its CPU";
	if (thread->cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET((unsigned int)thread->cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0) {
			thread->error = errno;
			return NULL;
		}
	}
	thread->step = "setting its priority";
	if (thread->nice && setpriority(PRIO_PROCESS, (id_t)id, thread->nice) < 0) {
		thread->error = errno;
		return NULL;
	}
	thread->step = NULL;
	atomic_store(&thread->id, id);
	thread->body(thread->argument);
	return NULL;
}

struct load_thread *load_thread_start(const char *path, int cpu, int nice, void (*body)(void *),
				      void *argument)
{
	struct load_thread *thread = calloc(1, sizeof(*thread));
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int error = ENOMEM;

	if (!thread)
		return NULL;
	pthread_once(&once, catch_interrupt);
	thread->cpu = cpu;
	thread->nice = nice;
	thread->body = body;
	thread->argument = argument;
	if (!path || (thread->path = strdup(path)))
		error = pthread_create(&thread->thread, NULL, run, thread);
	if (!error)
		return thread;
	free(thread->path);
	free(thread);
	errno = error;
	return NULL;
}

pid_t load_thread_id(struct load_thread *thread)
{
	return atomic_load(&thread->id);
}

void load_thread_interrupt(struct load_thread *thread)
{
	pid_t id = load_thread_id(thread);

	if (id)
		syscall(SYS_tgkill, getpid(), id, INTERRUPT);
}

int load_thread_join(struct load_thread *thread, const char **step)
{
	int error;

	pthread_join(thread->thread, NULL);
	error = thread->error;
	*step = thread->step;
	free(thread->path);
	free(thread);
	return error;
}
