#!/usr/bin/env nextflow
// Sorts and images the sessions of a table, scores those that have a truth, and reports on all of them.
//
//     nextflow run workflow/nextflow/main.nf -profile slurm --sessions sessions.csv --work_folder /scratch/me/somata
//
// Results are written where they stay (`params.results`) and not into the folders of the tasks: somata writes a result
// whole or not at all, and checkpoints must outlive a task that is tried again. A try that may go better (memory, a
// signal, no device) is made again with more memory; a session that cannot succeed is left out, named in the report,
// and tried again by the next run with `-resume`.

nextflow.enable.dsl = 2

// The command of one step for one session, or for the table.
def session_command(action) {
    "${params.python} '${projectDir}/../scripts/session.py' ${action} ${where()}"
}

def cohort_command(action) {
    "${params.python} '${projectDir}/../scripts/cohort.py' ${action} ${where()}"
}

def where() {
    "--table '${whole(params.sessions)}' --results '${whole(params.results)}'"
}

// A path for tasks, which run in folders of their own.
def whole(path) {
    file(path).toAbsolutePath()
}

// What `estimate` says, with a margin; the default where it says nothing.
def megabytes(bytes, fallback) {
    bytes == null ? fallback : (Math.ceil(bytes * 1.3 / 1e6) as long) + 200
}

process LIST {
    executor 'local'
    cache false

    output:
    path 'sessions.json'

    script:
    """
    ${session_command('list')} > sessions.json
    """
}

process ESTIMATE {
    tag "${one.name}"
    executor 'local'

    input:
    val one

    output:
    tuple val(one), path('estimate.json')

    script:
    """
    ${session_command('estimate')} --name '${one.name}' --program '${params.somata}' --device '${params.device}' \\
        --threads ${params.threads}
    cp '${whole(params.results)}/estimates/${one.name}.json' estimate.json
    """

    stub:
    """
    echo '{"memory_bytes": null, "disk_bytes": null, "seconds": null}' > estimate.json
    """
}

process SESSION {
    tag "${one.name}"
    cpus params.threads
    memory { megabytes(told.memory_bytes, params.default_memory_mb) * 2 ** (task.attempt - 1) * 1.MB }
    disk { megabytes(told.disk_bytes, params.default_disk_mb) * 1.MB }
    time { params.default_minutes * 2 ** (task.attempt - 1) * 1.m }
    maxRetries params.attempts - 1
    errorStrategy { task.exitStatus in [5, 130, 137, 143] && task.attempt < params.attempts ? 'retry' : 'ignore' }

    input:
    tuple val(one), val(told)

    output:
    val one

    script:
    """
    ${session_command('run')} --name '${one.name}' --program '${params.somata}' --device '${params.device}' \\
        --work '${whole(params.work_folder)}' --threads ${task.cpus} \\
        --memory-mb ${task.memory.toMega()} --attempt ${task.attempt} --attempts ${params.attempts} \\
        ${params.replace ? '--replace' : ''}
    """

    stub:
    """
    true
    """
}

process SCORE {
    tag "${one.name}"
    memory 2.GB
    cache false

    input:
    val one

    output:
    val one

    script:
    """
    ${session_command('score')} --name '${one.name}' --program '${params.somata}'
    """

    stub:
    """
    true
    """
}

process REPORT {
    executor 'local'
    cache false

    input:
    val finished

    script:
    """
    ${cohort_command('report')}
    ${cohort_command('check')}
    """

    stub:
    """
    ${cohort_command('report')}
    """
}

workflow {
    LIST()
    ESTIMATE(LIST.out.splitJson())
    SESSION(ESTIMATE.out.map { one, told -> tuple(one, new groovy.json.JsonSlurperClassic().parseText(told.text)) })
    SCORE(SESSION.out.filter { one -> one.truth != null })
    REPORT(SESSION.out.mix(SCORE.out).collect().ifEmpty([]))
}
