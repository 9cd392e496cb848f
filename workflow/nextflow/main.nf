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

import groovy.json.JsonSlurper

def scripts = "${projectDir}/../scripts"
def table = file(params.sessions).toAbsolutePath()
def results = file(params.results).toAbsolutePath()
def work_folder = file(params.work_folder).toAbsolutePath()
def session_py = "${params.python} '${scripts}/session.py'"
def where = "--table '${table}' --results '${results}'"
def common = "${where} --program '${params.somata}'"

// What `estimate` says, as the number that the rule asks for; the default where it says nothing.
def megabytes(told, name, fallback) {
    def bytes = told[name]
    return bytes == null ? fallback : (long) Math.ceil(bytes * 1.3 / 1e6) + 200
}

process LIST {
    executor 'local'
    cache false

    output:
    path 'sessions.json'

    script:
    """
    ${session_py} list --table '${table}' > sessions.json
    """

    stub:
    """
    ${session_py} list --table '${table}' > sessions.json
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
    ${session_py} estimate ${common} --name '${one.name}' --device '${params.device}' --threads ${params.threads}
    cp '${results}/estimates/${one.name}.json' estimate.json
    """

    stub:
    """
    echo '{"memory_bytes": null, "disk_bytes": null, "seconds": null}' > estimate.json
    """
}

process SESSION {
    tag "${one.name}"
    cpus params.threads
    memory { megabytes(told, 'memory_bytes', params.default_memory_mb) * 2 ** (task.attempt - 1) * 1.MB }
    disk { megabytes(told, 'disk_bytes', params.default_disk_mb) * 1.MB }
    time { params.default_minutes * 2 ** (task.attempt - 1) * 1.min }
    maxRetries params.attempts - 1
    errorStrategy { task.exitStatus in [5, 130, 137, 143] && task.attempt < params.attempts ? 'retry' : 'ignore' }

    input:
    tuple val(one), val(told)

    output:
    val one

    script:
    """
    ${session_py} run ${common} --name '${one.name}' --device '${params.device}' --work '${work_folder}' \\
        --threads ${task.cpus} --memory-mb ${task.memory.toMega()} --attempt ${task.attempt} \\
        --attempts ${params.attempts} ${params.replace ? '--replace' : ''}
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
    ${session_py} score ${common} --name '${one.name}'
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
    ${params.python} '${scripts}/cohort.py' report ${where}
    ${params.python} '${scripts}/cohort.py' check ${where}
    """

    stub:
    """
    true
    """
}

workflow {
    LIST()
    sessions = LIST.out.flatMap { listed -> new JsonSlurper().parse(listed) }
    ESTIMATE(sessions)
    SESSION(ESTIMATE.out.map { one, told -> tuple(one, new JsonSlurper().parse(told)) })
    with_truth = SESSION.out.filter { one -> one.truth != null }
    SCORE(with_truth)
    REPORT(SESSION.out.mix(SCORE.out).collect().ifEmpty([]))
}
